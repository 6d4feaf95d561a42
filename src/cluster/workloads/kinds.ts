import { CustomResourceDefinitionKind } from '../../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../../api/apiextensions/kind-of-definition.ts';
import { builtinKinds } from '../../api/builtin.ts';
import { EventKind } from '../../api/core/event.ts';
import type { Kind } from '../../api/kind.ts';
import type { Cache } from '../../kube/reconciler.ts';

/** Events own nothing, are owned by nothing, and are many. */
export const ownableKinds: readonly Kind[] = builtinKinds.filter(
  (kind) => kind.group !== '' || kind.kind !== EventKind.kind,
);

/** Every kind that the server has now. */
export function allKinds(cache: Cache): Kind[] {
  const custom = cache.list(CustomResourceDefinitionKind);
  return [...builtinKinds, ...custom.flatMap((definition) => kindOfDefinition(definition) ?? [])];
}
