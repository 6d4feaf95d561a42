import { builtinKinds } from '../api/builtin.ts';
import type { Kind } from '../api/kind.ts';
import { platformKinds } from '../api/platform.ts';
import { discover, type Transport } from '../kube/http/index.ts';

/** The kind that a person means by `ksvc`, `services.serving.knative.dev`, `pods` … Throws when there is none. */
export async function resolveKind(transport: Transport, name: string): Promise<Kind> {
  const known = [...platformKinds, ...builtinKinds].sort((a, b) => Number(a.group !== '') - Number(b.group !== ''));
  const found = known.find((kind) => namesOf(kind).includes(name.toLowerCase()));
  if (found) return found;
  const other = (await discover(transport)).find((kind) => namesOf(kind).includes(name.toLowerCase()));
  if (other) return other;
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
