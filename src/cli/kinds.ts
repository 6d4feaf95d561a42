import { CustomResourceDefinitionKind } from '../api/apiextensions/custom-resource-definition.ts';
import { builtinKinds } from '../api/builtin.ts';
import { defineKind, type Kind } from '../api/kind.ts';
import { platformKinds } from '../api/platform.ts';
import type { Client } from '../kube/client.ts';

/** The kind that a person means by `ksvc`, `services.serving.knative.dev`, `pods` … Throws when there is none. */
export async function resolveKind(client: Client, name: string): Promise<Kind> {
  const known = [...platformKinds, ...builtinKinds].sort((a, b) => Number(a.group !== '') - Number(b.group !== ''));
  const found = known.find((kind) => namesOf(kind).includes(name.toLowerCase()));
  if (found) return found;
  const { items } = await client.list(CustomResourceDefinitionKind);
  for (const { spec } of items) {
    const version = spec.versions.find((v) => v.served);
    if (!version) continue;
    const kind = defineKind({
      group: spec.group,
      version: version.name,
      kind: spec.names.kind,
      plural: spec.names.plural,
      singular: spec.names.singular ?? spec.names.kind.toLowerCase(),
      shortNames: spec.names.shortNames ?? [],
      isNamespaced: spec.scope === 'Namespaced',
      schema: {},
    });
    if (namesOf(kind).includes(name.toLowerCase())) return kind;
  }
  throw new Error(`there is no kind "${name}": see 'kubectl api-resources'`);
}

/** `ksvc/orders` says what `ksvc orders` says. */
export function splitKindAndName(kind: string, name: string | undefined): { kind: string; name: string | undefined } {
  const at = kind.indexOf('/');
  return at < 0 || name !== undefined ? { kind, name } : { kind: kind.slice(0, at), name: kind.slice(at + 1) };
}

function namesOf(kind: Kind): string[] {
  const names = [kind.plural, kind.singular, kind.kind.toLowerCase(), ...kind.shortNames];
  return [...names, ...(kind.group === '' ? [] : names.map((name) => `${name}.${kind.group}`))];
}
