import { builtinKinds } from './builtin.ts';
import type { Kind } from './kind.ts';
import { apiVersionOf } from './kind.ts';
import { platformKinds } from './platform.ts';

/** The kind that a manifest's `apiVersion` and `kind` mean, if it is one that we know without asking a server. */
export function findKind(apiVersion: string, kind: string): Kind | undefined {
  return [...builtinKinds, ...platformKinds].find((k) => k.kind === kind && apiVersionOf(k) === apiVersion);
}
