import { defineKind, type Kind } from '../kind.ts';
import type { CustomResourceDefinition } from './custom-resource-definition.ts';

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
