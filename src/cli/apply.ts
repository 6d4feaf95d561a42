import { applyEntry, readManifest, uploadSources } from './manifest.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { registryOf } from './registry.ts';
import { print } from './terminal.ts';

export interface ApplyOptions {
  filename: string;
  recursive?: boolean;
  namespace: string;
}

/** `kittiwake apply -f`: every object in the order of the file; stops at the first that is refused. */
export async function apply(common: CommonOptions, options: ApplyOptions): Promise<void> {
  const { addresses, client } = runningPlatform(common);
  const read = await readManifest(options.filename, options.namespace, client, options.recursive);
  const entries = await uploadSources(read, registryOf(addresses), (name, digest) => {
    print(`source of ${name} uploaded as ${digest.slice(0, 19)}`);
  });
  for (const entry of entries) {
    const { kind, object } = entry;
    const outcome = await applyEntry(client, entry);
    print(`${kind.singular}${kind.group === '' ? '' : `.${kind.group}`}/${object.metadata.name} ${outcome}`);
  }
}
