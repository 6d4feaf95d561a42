/** The table that holds CustomResourceDefinitions. */
export const definitionsTable = 'apiextensions.k8s.io/customresourcedefinitions';

/** Keeps a definition that is being deleted until its objects are gone. */
export const customResourceCleanup = 'customresourcecleanup.apiextensions.k8s.io';
