import type { CustomResourceDefinition } from '../../../api/apiextensions/custom-resource-definition.ts';
import type { ServedResource } from '../resources.ts';
import { tableName } from '../served-resource.ts';

/** Why the names of a definition cannot be served beside what is; undefined when they can. */
export function nameConflict(
  definition: CustomResourceDefinition,
  served: readonly ServedResource[],
): string | undefined {
  const { group, names } = definition.spec;
  const own = tableName({ group, plural: names.plural });
  if (served.some((resource) => resource.isBuiltin && resource.table === own)) {
    return `"${names.plural}.${group}" is a built-in resource`;
  }
  const others = served.filter((resource) => resource.kind.group === group && resource.table !== own);
  for (const { kind, listKind } of others) {
    const taken = new Set([kind.plural, kind.singular, ...kind.shortNames]);
    for (const name of [names.plural, names.singular ?? '', ...(names.shortNames ?? [])]) {
      if (name !== '' && taken.has(name)) return `"${name}" is already in use`;
    }
    if ([kind.kind, listKind].includes(names.kind)) return `"${names.kind}" is already in use`;
  }
  return undefined;
}
