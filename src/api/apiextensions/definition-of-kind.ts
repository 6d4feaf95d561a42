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
  const { properties, ...rest } = forDefinitions(schema);
  return { ...rest, ...object({ apiVersion: string(), kind: string(), metadata: { type: 'object' }, ...properties }) };
}

/**
 * What a CustomResourceDefinition may say: strategic merge is for built-ins, and a list is keyed only by fields that
 * all its items have.
 */
function forDefinitions(schema: Schema): Schema {
  const { 'x-kubernetes-patch-merge-key': _key, 'x-kubernetes-patch-strategy': _strategy, ...rest } = schema;
  const { 'x-kubernetes-list-type': _type, 'x-kubernetes-list-map-keys': keys, ...unkeyed } = rest;
  const kept = keys?.every((key) => isAlwaysThere(schema.items, key)) === false ? unkeyed : rest;
  const { properties, additionalProperties, items, allOf, anyOf, oneOf, not } = kept;
  const each = (schemas: Schema[]) => schemas.map(forDefinitions);
  return {
    ...kept,
    ...(properties && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, forDefinitions(child)])),
    }),
    ...(typeof additionalProperties === 'object' && { additionalProperties: forDefinitions(additionalProperties) }),
    ...(items && { items: forDefinitions(items) }),
    ...(allOf && { allOf: each(allOf) }),
    ...(anyOf && { anyOf: each(anyOf) }),
    ...(oneOf && { oneOf: each(oneOf) }),
    ...(not && { not: forDefinitions(not) }),
  };
}

const isAlwaysThere = (items: Schema | undefined, key: string) =>
  items?.required?.includes(key) || items?.properties?.[key]?.default !== undefined;
