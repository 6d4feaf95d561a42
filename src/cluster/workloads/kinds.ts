import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../api/apiextensions/custom-resource-definition.ts';
import { builtinKinds } from '../../api/builtin.ts';
import { EventKind } from '../../api/core/event.ts';
import { defineKind, type Kind } from '../../api/kind.ts';
import { platformKinds } from '../../api/platform.ts';
import type { Cache } from '../../kube/reconciler.ts';

/** The kinds that this program knows at its start. */
export const staticKinds: readonly Kind[] = [...builtinKinds, ...platformKinds];

/** Events own nothing, are owned by nothing, and are many. */
export const ownableKinds: readonly Kind[] = staticKinds.filter(
  (kind) => kind.group !== '' || kind.kind !== EventKind.kind,
);

const staticByGroupKind = new Map(staticKinds.map((kind) => [groupKind(kind), kind]));

/** Every kind that the server has now, those of other people's CustomResourceDefinitions included. */
export function allKinds(cache: Cache): Kind[] {
  const custom = cache
    .list(CustomResourceDefinitionKind)
    .filter((d) => !staticByGroupKind.has(`${d.spec.names.kind}.${d.spec.group}`));
  return [...staticKinds, ...custom.flatMap((definition) => kindOfDefinition(definition) ?? [])];
}

/** The kind that a definition adds, enough to read, list, watch and delete; undefined while no version is served. */
export function kindOfDefinition({ spec }: CustomResourceDefinition): Kind | undefined {
  const version = spec.versions.find((v) => v.storage && v.served) ?? spec.versions.find((v) => v.served);
  if (!version) return;
  return defineKind({
    group: spec.group,
    version: version.name,
    kind: spec.names.kind,
    plural: spec.names.plural,
    isNamespaced: spec.scope === 'Namespaced',
    schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  });
}

export function groupKind(kind: Pick<Kind, 'group' | 'kind'>): string {
  return `${kind.kind}.${kind.group}`;
}

/** The kind of which an owner reference tells, whatever its version; undefined when it is not served. */
export function kindOfReference(cache: Cache, reference: { apiVersion: string; kind: string }): Kind | undefined {
  const slash = reference.apiVersion.indexOf('/');
  const group = slash < 0 ? '' : reference.apiVersion.slice(0, slash);
  const known = staticByGroupKind.get(groupKind({ group, kind: reference.kind }));
  if (known) return known;
  const isMeant = ({ spec }: CustomResourceDefinition) => spec.group === group && spec.names.kind === reference.kind;
  const definition = cache.list(CustomResourceDefinitionKind).find(isMeant);
  return definition && kindOfDefinition(definition);
}
