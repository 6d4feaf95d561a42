import type { Kind } from '../kind.ts';
import { object, type Schema, string } from '../schema.ts';
import type { CustomResourceDefinition } from './custom-resource-definition.ts';

/**
 * The CustomResourceDefinition by which any Kubernetes learns of `kind`. Pure: the embedded server installs it at
 * start, and deploy/ prints it.
 */
export function definitionOfKind(kind: Kind): CustomResourceDefinition {
  const { group, version, plural, singular, shortNames, categories, isNamespaced, hasStatus, scale, columns } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: isNamespaced ? 'Namespaced' : 'Cluster',
      names: {
        plural,
        singular,
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        ...(shortNames.length > 0 ? { shortNames: [...shortNames] } : {}),
        ...(categories.length > 0 ? { categories: [...categories] } : {}),
      },
      conversion: { strategy: 'None' },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: rootOf(kind.schema) },
          ...(hasStatus || scale
            ? { subresources: { ...(hasStatus ? { status: {} } : {}), ...(scale ? { scale: { ...scale } } : {}) } }
            : {}),
          ...(columns.length > 0 ? { additionalPrinterColumns: [...columns] } : {}),
        },
      ],
    },
  };
}

function rootOf(schema: Schema): Schema {
  const { properties, ...rest } = withoutPatchKeys(schema);
  return { ...rest, ...object({ apiVersion: string(), kind: string(), metadata: { type: 'object' }, ...properties }) };
}

/** Strategic merge is for built-ins: CustomResourceDefinitions know no `x-kubernetes-patch-*`. */
function withoutPatchKeys(schema: Schema): Schema {
  const { 'x-kubernetes-patch-merge-key': _key, 'x-kubernetes-patch-strategy': _strategy, ...kept } = schema;
  const { properties, additionalProperties, items, allOf, anyOf, oneOf, not } = kept;
  const each = (schemas: Schema[]) => schemas.map(withoutPatchKeys);
  return {
    ...kept,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, child]) => [name, withoutPatchKeys(child)]),
      ),
    }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: withoutPatchKeys(additionalProperties) }),
    ...(items && { items: withoutPatchKeys(items) }),
    ...(allOf && { allOf: each(allOf) }),
    ...(anyOf && { anyOf: each(anyOf) }),
    ...(oneOf && { oneOf: each(oneOf) }),
    ...(not && { not: withoutPatchKeys(not) }),
  };
}
