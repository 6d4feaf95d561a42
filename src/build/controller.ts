import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Build, BuildKind, type BuildStatus, buildTimeoutMs } from '../api/build/build.ts';
import { type Key, keyOf, keyText } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { Controller, ReconcileContext } from '../kube/reconciler.ts';
import { type Clock, sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost, type RegistryClient } from '../registry/index.ts';
import { buildImage } from './build-image.ts';
import { type BuildContext, type BuildFolders, buildFolders } from './context.ts';
import { BuildFailure } from './failure.ts';
import { createLayerCache, keepNewest } from './layers/layer-cache.ts';
import { nodePack } from './packs/node/index.ts';
import type { Pack } from './packs/pack.ts';
import { buildRetentionController } from './retention/controller.ts';
import { Semaphore } from './semaphore.ts';
import { failedStatus, isFinished, runningStatus, statusLogBytes, succeededStatus } from './status.ts';
import { BuildLog } from './steps/log.ts';
import { killLeftoverSteps } from './steps/step.ts';

export interface BuildControllerOptions {
  registry: RegistryClient;
  /** The builds' own folder: caches, workspaces, work in progress. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
  /** Builds at once; 2 unless given. The others wait. */
  concurrency?: number;
  /** The host of the images' names; the embedded registry unless given. */
  imageHost?: string;
}

/** A failure that is not the source's fault (the registry is away, the disk is full) is tried again after these. */
const retryDelaysMs = [500, 2000, 8000];
/** What the cache remembers of images and of layers, each; counted when the platform starts. */
const cacheEntriesMax = 1000;
/** A step that ends sooner is not worth a write to the API. */
const progressAfterMs = 250;

/**
 * Runs every Build once, and again if the platform went down in the middle of it. Deleting a Build cancels it. Old ones
 * that no Revision needs are deleted.
 */
export function buildControllers(options: BuildControllerOptions): Controller[] {
  const runs = new BuildRuns(options);
  const controller: Controller<Build> = {
    name: 'build',
    kind: BuildKind,
    reconcile: async (build, context) => runs.ensure(build, context),
    onGone: (key) => runs.cancel(key),
  };
  return [controller, buildRetentionController()];
}

interface Run {
  uid: string;
  abort: AbortController;
}

class Cancelled extends Error {}
class TimedOut extends Error {}

/**
 * The builds that are at work in this process, by key. A reconcile only starts one: the run itself writes its status.
 */
class BuildRuns {
  readonly #options: BuildControllerOptions;
  readonly #folders: BuildFolders;
  readonly #packs: readonly Pack[];
  readonly #slots: Semaphore;
  readonly #runs = new Map<string, Run>();
  readonly #seconds: ReturnType<Metrics['histogram']> | undefined;
  #ready: Promise<void> | undefined;

  constructor(options: BuildControllerOptions) {
    this.#options = options;
    this.#folders = buildFolders(options.dataDir);
    this.#packs = [nodePack(createLayerCache())];
    this.#slots = new Semaphore(options.concurrency ?? 2);
    const buckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
    this.#seconds = options.metrics?.histogram('kittiwake_build_seconds', 'Duration of builds', ['result'], buckets);
  }

  ensure(build: Build, context: ReconcileContext): void {
    const key = keyText(keyOf(build));
    const uid = build.metadata.uid ?? '';
    const running = this.#runs.get(key);
    if (running?.uid === uid) return;
    this.cancel(keyOf(build));
    if (isFinished(build) || build.metadata.deletionTimestamp !== undefined) return;
    const run = { uid, abort: new AbortController() };
    this.#runs.set(key, run);
    const stop = () => run.abort.abort(new Cancelled('the platform is stopping'));
    context.signal.addEventListener('abort', stop, { once: true });
    this.#run(build, run.abort, context)
      .catch((err) => {
        if (!run.abort.signal.aborted)
          context.log.error({ err, build: key }, 'the result of a build could not be written');
      })
      .finally(() => {
        context.signal.removeEventListener('abort', stop);
        if (this.#runs.get(key) === run) this.#runs.delete(key);
      });
  }

  cancel(key: Key): void {
    const text = keyText(key);
    this.#runs.get(text)?.abort.abort(new Cancelled('the Build was deleted'));
    this.#runs.delete(text);
  }

  async #run(build: Build, abort: AbortController, context: ReconcileContext): Promise<void> {
    const { clock } = this.#options;
    const { signal } = abort;
    this.#ready ??= this.#prepare();
    await this.#ready;
    const progress = new Progress(clock, (reason, message) =>
      writeStatus(build, runningStatus(build, reason, message, clock.now()), context, signal),
    );
    progress.say('Pending', 'waiting for other builds to end');
    const leave = await this.#slots.enter(signal).catch(async (error) => {
      await progress.stop();
      throw error;
    });
    progress.say('Building', 'starting');
    const startedMs = clock.monotonic();
    const cancelTimeout = clock.after(buildTimeoutMs(build.spec), () => {
      abort.abort(new TimedOut(`the build took longer than ${build.spec.timeout}: raise spec.timeout (at most 24h)`));
    });
    const log = new BuildLog();
    try {
      const status = await this.#attempt(build, log, signal, progress);
      await progress.stop();
      await writeStatus(build, status, context, status.output ? signal : neverAborted);
      const result = status.output ? 'succeeded' : 'failed';
      this.#seconds?.observe({ result }, (clock.monotonic() - startedMs) / 1000);
      const { reason } = status.conditions?.[0] ?? {};
      context.log.info({ build: keyText(keyOf(build)), result, reason, digest: status.output?.digest }, 'build ended');
    } finally {
      cancelTimeout();
      await progress.stop();
      leave();
    }
  }

  /** The status that the build ends with; throws when it was cancelled. */
  async #attempt(build: Build, log: BuildLog, signal: AbortSignal, progress: Progress): Promise<BuildStatus> {
    const { clock } = this.#options;
    const workDir = join(this.#folders.work, build.metadata.uid ?? '');
    for (let attempt = 0; ; attempt++) {
      try {
        await mkdir(workDir, { recursive: true });
        const result = await buildImage(build.spec, this.#packs, this.#context(build, workDir, log, signal, progress));
        return succeededStatus(build, result, log.tail(statusLogBytes), clock.now());
      } catch (error) {
        if (signal.reason instanceof Cancelled) throw error;
        const fail = (reason: string, message: string) => {
          log.say(message);
          return failedStatus(build, reason, message, log.tail(statusLogBytes), clock.now());
        };
        if (signal.reason instanceof TimedOut) return fail('BuildTimeout', signal.reason.message);
        if (error instanceof BuildFailure) return fail(error.reason, error.message);
        const delayMs = retryDelaysMs[attempt];
        this.#options.log.warn({ err: error, build: keyText(keyOf(build)), attempt }, 'a build broke off');
        if (delayMs === undefined) return fail('BuildFailed', `the build could not be done: ${messageOf(error)}`);
        log.say(`${messageOf(error)}: trying again`);
        // When it aborts, the next attempt ends at once and says why.
        await sleep(clock, delayMs, signal).catch(() => {});
      } finally {
        await rm(workDir, { recursive: true, force: true });
      }
    }
  }

  #context(build: Build, workDir: string, log: BuildLog, signal: AbortSignal, progress: Progress): BuildContext {
    const { registry, imageHost = embeddedRegistryHost } = this.#options;
    return {
      registry,
      folders: this.#folders,
      log,
      signal,
      workDir,
      repository: `${imageHost}/${build.metadata.namespace ?? 'default'}/${repositoryName(build)}`,
      progress: (message) => progress.say('Building', message),
    };
  }

  /** Ends what an earlier run of the platform left behind when it was killed; forgets the oldest of what it made. */
  async #prepare(): Promise<void> {
    const killed = await killLeftoverSteps(this.#folders.pids);
    if (killed > 0) this.#options.log.warn({ killed }, 'build steps of an earlier run were still there: killed');
    await rm(this.#folders.work, { recursive: true, force: true });
    for (const folder of [this.#folders.images, this.#folders.layers]) await keepNewest(folder, cacheEntriesMax);
  }
}

/** All builds of one Configuration push to one repository, which therefore has its layers already. */
function repositoryName(build: Build): string {
  const owner = build.metadata.ownerReferences?.find(({ controller }) => controller);
  return owner?.name ?? build.metadata.name;
}

type RunningReason = 'Pending' | 'Building';

/** Says which step a build is at, if the step takes long enough for somebody to read it. */
class Progress {
  readonly #clock: Clock;
  readonly #write: (reason: RunningReason, message: string) => Promise<void>;
  #cancel = () => {};
  #writing: Promise<void> = Promise.resolve();
  #hasStopped = false;

  constructor(clock: Clock, write: (reason: RunningReason, message: string) => Promise<void>) {
    this.#clock = clock;
    this.#write = write;
  }

  say(reason: RunningReason, message: string): void {
    this.#cancel();
    if (this.#hasStopped) return;
    this.#cancel = this.#clock.after(progressAfterMs, () => {
      // An interim status that could not be written is no loss: what happens next says more.
      this.#writing = this.#writing.then(() => this.#write(reason, message)).catch(() => {});
    });
  }

  /** No write follows once this has resolved. */
  async stop(): Promise<void> {
    this.#hasStopped = true;
    this.#cancel();
    await this.#writing;
  }
}

const neverAborted = new AbortController().signal;

/** Writes over whatever status is stored: nobody else writes it. A Build that is gone, or replaced, needs none. */
async function writeStatus(
  build: Build,
  status: BuildStatus,
  { client }: ReconcileContext,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const current = await client.get(BuildKind, keyOf(build));
    if (current?.metadata.uid !== build.metadata.uid || current === undefined) return;
    try {
      await client.update(
        BuildKind,
        { ...current, status: { ...status, startTime: startTime(current, status) } },
        'status',
      );
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error) || attempt === 5) throw error;
    }
  }
}

function startTime(current: Build, status: BuildStatus): string {
  return current.status?.startTime ?? status.startTime ?? '';
}
