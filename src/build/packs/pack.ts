import type { BuildFailureReason } from '../failure.ts';
import type { Layer } from '../layers/layer.ts';
import type { TarEntry } from '../layers/tar.ts';
import type { SourcePart } from '../source/copy.ts';
import type { SourceFolder } from '../source/source.ts';
import type { Program } from '../steps/step-runner.ts';

/**
 * One language, in a folder of its own. It looks at sources and says what is to be done with them; doing it is somebody
 * else's (carry-out.ts, and a StepRunner for what is run).
 */
export interface Pack {
  name: string;
  /** Raised whenever equal sources would give another image: it is part of every build's key. */
  version: string;
  /** What it looks for in a source, for whoever wonders why it was not found. */
  looksFor: readonly string[];
  /** Undefined when the source is not this pack's. */
  detect(source: SourceFolder): Detection | undefined;
  /** Throws BuildFailure when the source cannot be built. */
  plan(source: SourceFolder, options: PlanOptions): BuildPlan;
  /** What its apps stand on, bottom first; empty where images cannot hold what they need to run by themselves. */
  base(): Promise<readonly BaseLayer[]>;
  /** Looks at the app as it will be in the image; it is the source itself when nothing is compiled. */
  start(app: SourceFolder, source: SourceFolder, signal: AbortSignal): Promise<AppStart>;
  /** The lines, of all that a failed step printed, that a reader needs. */
  explain(step: Step, output: string): readonly string[];
}

export interface Detection {
  /** Why it matched, for the log. */
  because: string;
}

export interface PlanOptions {
  allowScripts: boolean;
  /** Variables of the build steps. */
  env: Record<string, string>;
  /** A folder for what tools keep between builds, as steps will see it. */
  cacheDir: string;
}

/** Plain data: nothing has been run yet. */
export interface BuildPlan {
  /** Why so, a line each, for the log. */
  notes: readonly string[];
  /** What makes the app of the source; without it, the source is the app. */
  compile?: Compile;
  /** A layer below the app's own. */
  dependencies?: MadeLayer;
}

/** A step that begins with a part of the source in an empty folder. Equal keys make equal folders. */
export interface Prepared {
  key: string;
  input: SourcePart;
  /** Of the input, what is left out, a line each, for the log. */
  notes: readonly string[];
  step: Step;
}

/** A part of the folder that a step makes, as a layer that is made once for its key. */
export interface MadeLayer extends Prepared {
  /** For the image's history and the log: `dependencies`. */
  createdBy: string;
  /** The part of the folder. */
  folder: string;
  /** Where it is in the image; one level deeper than the app. */
  at: string;
  /** Paths of the folder that are no part of the layer. */
  leaveOut: readonly string[];
}

/** A layer that does not come from the source. Equal keys have equal entries. */
export interface BaseLayer {
  key: string;
  /** For the image's history and the log. */
  createdBy: string;
  /** Where it is from, for the log. */
  because: string;
  entries(): Iterable<TarEntry>;
}

export interface Compile {
  /** Runs in a copy of the source. */
  step: Step;
  /** What is there already when it runs, and stays there for the next build with the same key. */
  tools?: Prepared;
  /** What is not part of the app, of what is in the root of the folder afterwards; tools are among it. */
  leaveOut: readonly string[];
  /** What its tools cache: removed before each build, which sees nothing of the one before. */
  caches: readonly string[];
}

/** What a pack has run. */
export interface Step extends Program {
  /** What it is doing, for whoever watches. */
  progress: string;
  /** As the log shows it. */
  shown: string;
  /** What it means when it ends with another code than 0. */
  failure: { reason: BuildFailureReason; message: string };
}

/** How the image is started. */
export interface AppStart {
  /** For the log. */
  because: string;
  entrypoint: string[];
  /** Between dependencies and app: what the language itself brings. */
  layers: readonly Layer[];
  labels: Record<string, string>;
}
