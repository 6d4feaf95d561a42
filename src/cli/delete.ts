import { notFound } from '../api/status.ts';
import { keyFor } from '../kube/kinds.ts';
import { resolveKind, splitKindAndName } from './kinds.ts';
import { readManifest } from './manifest.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { print } from './terminal.ts';

/** `kittiwake delete KIND NAME` or `-f FILE`: what is gone already is said, and is no error with `-f`. */
export async function deleteObjects(
  common: CommonOptions,
  kindArgument: string | undefined,
  nameArgument: string | undefined,
  options: { filename?: string; recursive?: boolean; namespace: string },
): Promise<void> {
  const { client, transport } = runningPlatform(common);
  if (options.filename !== undefined) {
    const entries = await readManifest(options.filename, options.namespace, client, options.recursive);
    for (const { kind, object } of entries.reverse()) {
      const key = keyFor(kind, object.metadata);
      const existed = (await client.get(kind, key)) !== undefined;
      await client.delete(kind, key);
      print(`${kind.singular} "${key.name}" ${existed ? 'deleted' : 'was not there'}`);
    }
    return;
  }
  const { kind: kindName, name } = splitKindAndName(kindArgument ?? '', nameArgument);
  if (kindName === '' || name === undefined || name === '')
    throw new Error("say what to delete: 'kittiwake delete KIND NAME' or '-f FILE'");
  const kind = await resolveKind(transport, kindName);
  const key = keyFor(kind, { namespace: options.namespace, name });
  if (!(await client.get(kind, key))) throw notFound(kind, name);
  await client.delete(kind, key);
  print(`${kind.singular} "${name}" deleted`);
}
