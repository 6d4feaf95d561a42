import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../../api/apiextensions/kind-of-definition.ts';
import { builtinKinds } from '../../api/builtin.ts';
import { EventKind } from '../../api/core/event.ts';
import type { Kind } from '../../api/kind.ts';
import type { Cache } from '../../kube/reconciler.ts';

/** Events own nothing, are owned by nothing, and are many. */
export const ownableKinds: readonly Kind[] = builtinKinds.filter(
  (kind) => kind.group !== '' || kind.kind !== EventKind.kind,
);

const builtinByGroupKind = new Map(builtinKinds.map((kind) => [groupKind(kind), kind]));

/** Every kind that the server has now. */
export function allKinds(cache: Cache): Kind[] {
  const custom = cache.list(CustomResourceDefinitionKind);
  return [...builtinKinds, ...custom.flatMap((definition) => kindOfDefinition(definition) ?? [])];
}

export function groupKind(kind: Pick<Kind, 'group' | 'kind'>): string {
  return `${kind.kind}.${kind.group}`;
}

/** The kind of which an owner reference tells, whatever its version; undefined when it is not served. */
export function kindOfReference(cache: Cache, reference: { apiVersion: string; kind: string }): Kind | undefined {
  const slash = reference.apiVersion.indexOf('/');
  const group = slash < 0 ? '' : reference.apiVersion.slice(0, slash);
  const known = builtinByGroupKind.get(groupKind({ group, kind: reference.kind }));
  if (known) return known;
  const isMeant = ({ spec }: CustomResourceDefinition) => spec.group === group && spec.names.kind === reference.kind;
  const definition = cache.list(CustomResourceDefinitionKind).find(isMeant);
  return definition && kindOfDefinition(definition);
}
