import type {
  CustomResourceDefinition,
  CustomResourceVersion,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import { apiVersionOf, type Kind } from '../../../api/kind.ts';
import type { Convert } from '../conversion.ts';
import type { ServedResource } from '../resources.ts';
import { servedResource } from '../served-resource.ts';
import type { Strategy } from '../strategy.ts';
import { requireLivingDefinition } from './termination.ts';

/** How a definition's objects become those of its other versions; only their apiVersion differs unless given. */
export type ConversionOf = (definition: CustomResourceDefinition) => Convert | undefined;

/**
 * The resources that a definition defines, one for each served version, the storage version first. `known` are the
 * kinds of the platform: their own defaults and rules go with the definition's schema.
 */
export function customResources(
  definition: CustomResourceDefinition,
  known: readonly Kind[],
  convert?: Convert,
): ServedResource[] {
  const { spec } = definition;
  const { group, names } = spec;
  const served = spec.versions.filter((version) => version.served);
  const storage = spec.versions.find((version) => version.storage);
  return served
    .toSorted((a, b) => Number(b.storage) - Number(a.storage))
    .map((version) => {
      const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => [jsonPath.replace(/^\./, ''), '']);
      const strategy: Strategy = {
        kind: kindOf(definition, version, known),
        selectableFields: Object.fromEntries(selectable),
        requireCreatable: requireLivingDefinition,
      };
      return servedResource(strategy, {
        isBuiltin: false,
        ...(convert && { convert }),
        ...(names.listKind && { listKind: names.listKind }),
        storedApiVersion: apiVersionOf({ group, version: storage?.name ?? version.name }),
        ...(version.deprecated && {
          deprecationWarning: version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated`,
        }),
      });
    });
}

function kindOf({ spec }: CustomResourceDefinition, version: CustomResourceVersion, known: readonly Kind[]): Kind {
  const { group, names, scope } = spec;
  const own = known.find((k) => k.group === group && k.version === version.name && k.kind === names.kind);
  const { scale, status } = version.subresources ?? {};
  return {
    group,
    version: version.name,
    kind: names.kind,
    plural: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    isNamespaced: scope === 'Namespaced',
    schema: version.schema?.openAPIV3Schema ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    hasStatus: status !== undefined,
    columns: version.additionalPrinterColumns ?? [],
    ...(scale && { scale }),
    ...(own?.setDefaults && { setDefaults: own.setDefaults }),
    ...(own?.validate && { validate: own.validate }),
  };
}
