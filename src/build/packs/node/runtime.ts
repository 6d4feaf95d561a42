import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type Layer, layerOf, treeEntries } from '../../layers/layer.ts';
import { type SourceTree, TreeBuilder } from '../../source/tree.ts';

/** Where the function runtime is in an image, from the working folder. */
export const runtimeFolder = '.kittiwake/runtime';
export const runtimeMain = `${runtimeFolder}/main.js`;

const defaultFolder = fileURLToPath(new URL('../../../../runtimes/node/', import.meta.url));

let packed: Promise<Layer> | undefined;

/** The layer that runs functions: the package @kittiwake/node-runtime of this checkout, packed once per process. */
export function runtimeLayer(): Promise<Layer> {
  packed ??= readRuntime(defaultFolder).then((tree) =>
    layerOf(treeEntries(tree, `app/${runtimeFolder}`), 'function runtime'),
  );
  return packed;
}

async function readRuntime(folder: string): Promise<SourceTree> {
  const builder = new TreeBuilder();
  for (const name of await readdir(folder)) {
    if (name === 'package.json' || (name.endsWith('.js') && !name.endsWith('.test.js'))) {
      builder.addFile(name, await readFile(`${folder}/${name}`), false);
    }
  }
  return builder.finish();
}
