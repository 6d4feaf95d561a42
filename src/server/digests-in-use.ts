import { CustomResourceDefinitionKind } from '../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../api/apiextensions/kind-of-definition.ts';
import { builtinKinds } from '../api/builtin.ts';
import { EventKind } from '../api/core/event.ts';
import type { Client } from '../kube/client.ts';

const digestPattern = /\bsha256:[0-9a-f]{64}\b|\bsha512:[0-9a-f]{128}\b/g;
/** Between these others have their turn of the event loop. */
const objectsPerTurn = 100;

/**
 * Every digest that stands anywhere in an object, of whatever kind the server has: in the image of a pod, the output
 * of a Build, a field of somebody's own kind. More than what is needed rather than less: it says what must not be
 * removed. Only Events are left out: they tell what was.
 */
export async function digestsInUse(client: Client): Promise<ReadonlySet<string>> {
  const digests = new Set<string>();
  const { items: definitions } = await client.list(CustomResourceDefinitionKind);
  const custom = definitions.flatMap((definition) => kindOfDefinition(definition) ?? []);
  for (const kind of [...builtinKinds, ...custom]) {
    if (kind === EventKind) continue;
    const { items } = await client.list(kind);
    for (const [at, object] of items.entries()) {
      if (at % objectsPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
      for (const [digest] of JSON.stringify(object).matchAll(digestPattern)) digests.add(digest);
    }
  }
  return digests;
}
