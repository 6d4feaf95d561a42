import { builtinKinds } from './builtin.ts';
import type { Kind, KindReference } from './kind.ts';
import { platformKinds } from './platform.ts';

/** The kind that is meant, among `kinds`: those that we know without asking a server, unless given. */
export function findKind(
  { group, version, kind }: KindReference,
  kinds: readonly Kind[] = [...builtinKinds, ...platformKinds],
): Kind | undefined {
  return kinds.find((k) => k.kind === kind && k.group === group && (version === undefined || k.version === version));
}
