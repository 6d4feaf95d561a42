import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import type { ConversionOf } from '../crds/custom-resources.ts';
import { customResourceCleanup } from '../crds/definition-table.ts';
import { DefinitionRegistrar } from '../crds/registrar.ts';
import { ageColumn, nameColumn } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

/** `known`: the kinds of the platform, whose own defaults and rules go with what their definitions say. */
export const customResourceDefinitions = (
  known: readonly Kind[],
  conversionOf: ConversionOf = () => undefined,
): Strategy<CustomResourceDefinition> => ({
  kind: CustomResourceDefinitionKind,
  columns: [nameColumn, { ...ageColumn, name: 'Created At', type: 'date', cell: createdAt }],
  prepareForCreate({ metadata }) {
    const { finalizers = [] } = metadata;
    if (!finalizers.includes(customResourceCleanup)) metadata.finalizers = [...finalizers, customResourceCleanup];
  },
  upkeep: (machinery, pipeline) => new DefinitionRegistrar(machinery, pipeline, known, conversionOf),
});

function createdAt({ metadata }: KubeObject): string | null {
  return metadata.creationTimestamp ?? null;
}
