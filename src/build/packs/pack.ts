import type { BuildContext } from '../context.ts';
import type { Layer } from '../layers/layer.ts';
import type { SourceTree } from '../source/tree.ts';

/** One language: says whether a source is its own, and makes the layers and the command of its image. */
export interface Pack {
  name: string;
  /** Raised whenever equal sources would give another image: it is part of every build's key. */
  version: string;
  /** Undefined when the source is not this pack's. */
  detect(tree: SourceTree): Detection | undefined;
  build(tree: SourceTree, options: PackOptions, context: BuildContext): Promise<PackOutput>;
}

export interface Detection {
  /** Why it matched, for the log. */
  because: string;
}

export interface PackOptions {
  allowScripts: boolean;
  /** Variables of the build steps. */
  env: Record<string, string>;
}

export interface PackOutput {
  /** In the order in which they are applied: what changes least comes first. */
  layers: Layer[];
  entrypoint: string[];
  workingDir: string;
  labels: Record<string, string>;
}
