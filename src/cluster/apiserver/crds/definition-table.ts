import type { ServedResource } from '../resources.ts';

/** The table that holds CustomResourceDefinitions. */
export const definitionsTable = 'apiextensions.k8s.io/customresourcedefinitions';

/** Keeps a definition that is being deleted until its objects are gone. */
export const customResourceCleanup = 'customresourcecleanup.apiextensions.k8s.io';

export const isDefinition = (resource: ServedResource): boolean => resource.table === definitionsTable;
