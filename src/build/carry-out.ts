import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { newestFirst } from './caches.ts';
import type { BuildContext } from './context.ts';
import { BuildFailure } from './failure.ts';
import { type Layer, layerBy, layerInFile, sourceEntries } from './layers/layer.ts';
import { cachedLayer } from './layers/layer-cache.ts';
import { madeEntries } from './layers/made-entries.ts';
import type { AppStart, BaseLayer, BuildPlan, Compile, MadeLayer, Pack, Prepared, Step } from './packs/pack.ts';
import { copySource } from './source/copy.ts';
import { listFolder } from './source/folder.ts';
import type { SourceFolder } from './source/source.ts';
import { BuildLog } from './steps/log.ts';

/** Workspaces that are kept; the one unused for longest goes first. */
const workspacesMax = 8;
const installedMark = '.installed';
const notesMax = 20;

export interface CarriedOut {
  /** In the order in which they are applied: what changes least comes first. */
  layers: Layer[];
  /** How many of them, from the bottom, the app only stands on. */
  baseCount: number;
  start: AppStart;
}

/** Does what a pack has planned: runs the steps, and packs what comes of them. */
export async function carryOut(
  plan: BuildPlan,
  pack: Pack,
  source: SourceFolder,
  context: BuildContext,
): Promise<CarriedOut> {
  for (const note of plan.notes) context.log.say(note);
  const inVain = new AbortController();
  const signal = AbortSignal.any([context.signal, inVain.signal]);
  const work = new Work(pack, source, { ...context, signal });
  const base: Promise<Layer>[] = [];
  const dependencies: Promise<Layer>[] = [];
  try {
    // Layers that must be made take long: the app is compiled, and how it starts found out, meanwhile.
    base.push(...(await pack.base()).map((layer) => quietly(work.base(layer))));
    const app = plan.compile ? await work.compile(plan.compile) : source;
    if (plan.dependencies) dependencies.push(quietly(work.layer(plan.dependencies)));
    const start = await pack.start(app, source, signal);
    context.log.say(start.because);
    const packed = await layerBy(sourceEntries(app, 'app'), join(context.workDir, 'app.tar.gz'), 'app');
    const made = await Promise.all([...base, ...dependencies]);
    return { layers: [...made, ...start.layers, packed], baseCount: base.length, start };
  } catch (error) {
    inVain.abort(error);
    throw error;
  } finally {
    await Promise.allSettled([...base, ...dependencies]);
  }
}

/** It is waited for later, when something else may have failed already. */
function quietly<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** The steps of one build. */
class Work {
  readonly #pack: Pack;
  readonly #source: SourceFolder;
  readonly #context: BuildContext;

  constructor(pack: Pack, source: SourceFolder, context: BuildContext) {
    this.#pack = pack;
    this.#source = source;
    this.#context = context;
  }

  /** As `layer`; it is the same for all apps of the pack on this machine. */
  base({ key, createdBy, because, entries }: BaseLayer): Promise<Layer> {
    const { log, workDir } = this.#context;
    return cachedLayer(key, createdBy, this.#context, () => {
      log.say(`${createdBy}: ${because}`);
      return layerInFile(entries(), join(workDir, `${key}.tar.zst`), createdBy, 'zstd');
    });
  }

  /** The layer that is remembered for its key, or made. */
  layer(made: MadeLayer): Promise<Layer> {
    const { workDir, progress } = this.#context;
    const { createdBy, folder, at, leaveOut, step } = made;
    return cachedLayer(made.key, createdBy, this.#context, async () => {
      const root = join(workDir, 'install');
      await this.#prepare(made, root);
      progress(`packing ${createdBy}`);
      const entries = madeEntries(root, { folder, at, leaveOut, reason: step.failure.reason });
      return layerInFile(entries, join(workDir, `${createdBy}.tar.gz`), createdBy);
    });
  }

  /**
   * The source with what the step made of it. Its tools stay installed in a workspace for the next build with the same
   * key; one build at a time uses it, and takes what it made out of it.
   */
  async compile(compile: Compile): Promise<SourceFolder> {
    const { folders, locks, signal, workDir } = this.#context;
    const { tools } = compile;
    if (!tools) return this.#compileIn(join(workDir, 'compile'), compile);
    const workspace = join(folders.workspaces, tools.key);
    return locks.hold(workspace, signal, async () => {
      const root = join(workspace, 'app');
      if (!existsSync(join(workspace, installedMark))) {
        await rm(workspace, { recursive: true, force: true });
        await this.#removeOldest();
        await this.#prepare(tools, root);
        await mkdir(join(workspace, installedMark));
      }
      await utimes(workspace, new Date(), new Date());
      await clear(root, compile);
      const { entries } = await this.#compileIn(root, compile);
      return { root: await moveOut(root, compile.leaveOut, join(workDir, 'compiled')), entries };
    });
  }

  async #compileIn(root: string, { step, leaveOut }: Compile): Promise<SourceFolder> {
    copySource(this.#source, root);
    await this.#run(step, root);
    return listFolder(root, (path) => leaveOut.includes(path));
  }

  async #prepare({ input, notes, step }: Prepared, root: string): Promise<void> {
    for (const note of notes.slice(0, notesMax)) this.#context.log.say(note);
    copySource(this.#source, root, input);
    await this.#run(step, root);
  }

  async #run(step: Step, folder: string): Promise<void> {
    const { log, progress, signal, steps, workDir } = this.#context;
    const home = join(workDir, 'home');
    await mkdir(home, { recursive: true });
    progress(step.progress);
    log.say(`> ${step.shown}`);
    const output = new BuildLog(64 * 1024);
    const print = (text: string) => {
      log.write(text);
      output.write(text);
    };
    const { exitCode } = await steps.run(step, { folder, home, print }, signal);
    if (exitCode === 0) return;
    const lines = this.#pack.explain(step, output.text());
    const { reason, message } = step.failure;
    throw new BuildFailure(reason, `${message} (exit code ${exitCode}):\n${lines.join('\n')}`);
  }

  async #removeOldest(): Promise<void> {
    const { folders, locks } = this.#context;
    const paths = await newestFirst(folders.workspaces);
    let tooMany = paths.length - workspacesMax + 1;
    for (const path of paths.reverse()) {
      if (tooMany <= 0) return;
      if (await locks.holdIfFree(path, () => rm(path, { recursive: true, force: true }))) tooMany--;
    }
  }
}

/** Leaves only tools, without their caches: a build sees its source and nothing of the one before. */
async function clear(root: string, { leaveOut, caches }: Compile): Promise<void> {
  const old = (await readdir(root)).filter((name) => !leaveOut.includes(name));
  for (const path of [...old, ...caches]) await rm(join(root, path), { recursive: true, force: true });
}

/** What is in a folder that the next build uses is moved to one of this build. */
async function moveOut(root: string, leaveOut: readonly string[], to: string): Promise<string> {
  await mkdir(to);
  for (const name of await readdir(root)) {
    if (!leaveOut.includes(name)) await rename(join(root, name), join(to, name));
  }
  return to;
}
