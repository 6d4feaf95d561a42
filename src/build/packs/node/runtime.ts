import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Layer, layerOf, sourceEntries } from '../../layers/layer.ts';
import { type SourceFolder, SourceList } from '../../source/source.ts';

/** Where the function runtime is in an image, from the working folder. */
export const runtimeFolder = '.kittiwake/runtime';
export const runtimeMain = `${runtimeFolder}/main.js`;

const ownFolder = fileURLToPath(new URL('../../../../runtimes/node/', import.meta.url));

let packed: Promise<Layer> | undefined;

/** The layer that runs functions: the package @kittiwake/node-runtime of this checkout, packed once per process. */
export function runtimeLayer(): Promise<Layer> {
  packed ??= listRuntime(ownFolder).then((source) =>
    layerOf(sourceEntries(source, `app/${runtimeFolder}`), 'function runtime'),
  );
  return packed;
}

async function listRuntime(root: string): Promise<SourceFolder> {
  const list = new SourceList();
  for (const name of await readdir(root)) {
    if (name === 'package.json' || (name.endsWith('.js') && !name.endsWith('.test.js'))) {
      list.addFile(name, (await lstat(join(root, name))).size, false);
    }
  }
  return { root, entries: list.entries() };
}
