import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Build, BuildKind, type BuildStatus, buildTimeoutMs, defaultBuildTimeout } from '../api/build/build.ts';
import { type Key, keyOf, keyText } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { Controller, ReconcileContext } from '../kube/reconciler.ts';
import { type Clock, sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { Quarantine } from '../lib/quarantine.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost, type RegistryClient } from '../registry/index.ts';
import { buildImage } from './build-image.ts';
import { type BuildContext, type BuildFolders, buildFolders } from './context.ts';
import { BuildFailure } from './failure.ts';
import { beyond, createLayerCache, keepNewest, removeAll } from './layers/layer-cache.ts';
import { nodePack } from './packs/node/index.ts';
import type { Pack } from './packs/pack.ts';
import { type Redact, redactFor } from './redact.ts';
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
  /** Knows which builds are at work: one that ends the process twice is not tried a third time, and fails. */
  quarantine?: Quarantine;
  /** Builds at once; 2 unless given. The others wait. */
  concurrency?: number;
  /** How long after a failure that is not the source's fault a build is tried again. */
  retryDelaysMs?: readonly number[];
  /** What each of the caches may hold on the disk. */
  cacheBytesMax?: number;
  /** The host of the images' names; the embedded registry unless given. */
  imageHost?: string;
}

/** A failure that is not the source's fault (the registry is away, the disk is full) is tried again after these. */
const defaultRetryDelaysMs = [500, 2000, 8000];
/** What the cache remembers of images and of layers, each; counted when the platform starts. */
const cacheEntriesMax = 1000;
/** What package managers keep of what they fetched, and what is installed for builds that compile, each. */
const defaultCacheBytesMax = 4 * 1024 ** 3;
const tidyEveryMs = 3_600_000;
const reportDelayMsMax = 30_000;
/** More of a message belongs into the log. */
const messageCharsMax = 8 * 1024;
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
  readonly #quarantine: Quarantine;
  readonly #runs = new Map<string, Run>();
  readonly #seconds: ReturnType<Metrics['histogram']> | undefined;
  /** Builds wait for it. */
  #ready: Promise<void> | undefined;
  #tidiedMs: number | undefined;
  #atWork = 0;

  constructor(options: BuildControllerOptions) {
    this.#options = options;
    this.#folders = buildFolders(options.dataDir);
    this.#packs = [nodePack(createLayerCache())];
    this.#quarantine = options.quarantine ?? new Quarantine();
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
    const log = this.#options.log;
    // `#run` says in the Build's status what goes wrong; what is left is its being cancelled.
    void this.#run(build, run.abort.signal, context)
      .catch((err) => {
        if (!run.abort.signal.aborted) log.error({ err, build: key }, 'a build ended without a status');
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

  /** From here to the status that the build ends with: whatever is thrown in between is that build's failure. */
  async #run(build: Build, cancelled: AbortSignal, context: ReconcileContext): Promise<void> {
    const { clock } = this.#options;
    const redact = redactFor(build.spec.source?.git?.url);
    const log = new BuildLog(undefined, redact);
    const progress = new Progress(clock, (reason, message) =>
      writeStatus(build, runningStatus(build, reason, redact(message), clock.now()), context, cancelled),
    );
    let status: BuildStatus;
    try {
      status = await this.#inSlot(build, log, redact, cancelled, progress);
    } catch (error) {
      if (cancelled.aborted) throw error;
      this.#options.log.error({ err: error, build: keyText(keyOf(build)) }, 'a build failed where nothing should');
      const message = redact(`the build could not be done: ${messageOf(error)}`);
      status = failedStatus(build, 'BuildFailed', message, log.tail(statusLogBytes), clock.now());
    } finally {
      await progress.stop();
    }
    const result = status.output ? 'succeeded' : 'failed';
    await this.#report(build, status, cancelled, context);
    const { reason } = status.conditions?.[0] ?? {};
    context.log.info({ build: keyText(keyOf(build)), result, reason, digest: status.output?.digest }, 'build ended');
  }

  async #inSlot(
    build: Build,
    log: BuildLog,
    redact: Redact,
    cancelled: AbortSignal,
    progress: Progress,
  ): Promise<BuildStatus> {
    const { clock } = this.#options;
    await this.#prepared();
    progress.say('Pending', 'waiting for other builds to end');
    const leave = await this.#slots.enter(cancelled);
    progress.say('Building', 'starting');
    const timeout = new AbortController();
    const cancelTimeout = clock.after(buildTimeoutMs(build.spec), () => {
      const timed = build.spec.timeout ?? defaultBuildTimeout;
      timeout.abort(new TimedOut(`the build took longer than ${timed}: raise spec.timeout (at most 24h)`));
    });
    this.#atWork++;
    const startedMs = clock.monotonic();
    try {
      const signal = AbortSignal.any([cancelled, timeout.signal]);
      const status = await this.#quarantine.run(`building ${keyText(keyOf(build))}`, () =>
        this.#attempt(build, log, redact, signal, progress),
      );
      const result = status.output ? 'succeeded' : 'failed';
      this.#seconds?.observe({ result }, (clock.monotonic() - startedMs) / 1000);
      return status;
    } finally {
      cancelTimeout();
      this.#atWork--;
      leave();
      this.#tidy().catch((err) => {
        this.#options.log.warn({ err }, "the builds' caches could not be tidied");
      });
    }
  }

  /** Writes the last status, again and again until it is written or nobody wants it: a build runs once. */
  async #report(build: Build, status: BuildStatus, cancelled: AbortSignal, context: ReconcileContext): Promise<void> {
    const { clock } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await writeStatus(build, status, context, cancelled);
      } catch (err) {
        if (cancelled.aborted) throw err;
        const delayMs = Math.min(250 * 2 ** attempt, reportDelayMsMax);
        const about = { err, build: keyText(keyOf(build)), delayMs };
        this.#options.log.warn(about, 'the status of a build could not be written: trying again');
        await sleep(clock, delayMs, cancelled);
      }
    }
  }

  /** The status that the build ends with; throws when it was cancelled. */
  async #attempt(
    build: Build,
    log: BuildLog,
    redact: Redact,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<BuildStatus> {
    const { clock } = this.#options;
    const workDir = join(this.#folders.work, randomUUID());
    for (let attempt = 0; ; attempt++) {
      try {
        await mkdir(workDir, { recursive: true });
        const context = { ...this.#context(build, workDir, log, signal, progress), redact };
        const result = await buildImage(build.spec, this.#packs, context);
        return succeededStatus(build, result, log.tail(statusLogBytes), clock.now());
      } catch (error) {
        if (signal.reason instanceof Cancelled) throw error;
        const fail = (reason: string, message: string) => {
          const said = redact(message).slice(0, messageCharsMax);
          log.say(said);
          return failedStatus(build, reason, said, log.tail(statusLogBytes), clock.now());
        };
        if (signal.reason instanceof TimedOut) return fail('BuildTimeout', signal.reason.message);
        if (error instanceof BuildFailure) return fail(error.reason, error.message);
        const delayMs = (this.#options.retryDelaysMs ?? defaultRetryDelaysMs)[attempt];
        this.#options.log.warn({ err: error, build: keyText(keyOf(build)), attempt }, 'a build broke off');
        if (delayMs === undefined) return fail('BuildFailed', `the build could not be done: ${messageOf(error)}`);
        log.say(`${messageOf(error)}: trying again`);
        // When it aborts, the next attempt ends at once and says why.
        await sleep(clock, delayMs, signal).catch(() => {});
      } finally {
        await this.#discard(workDir);
      }
    }
  }

  /** What a step left may still write into it, or have taken our rights: then it goes at the next start. */
  async #discard(workDir: string): Promise<void> {
    await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((err) => {
      this.#options.log.warn({ err, workDir }, "a build's folder could not be removed");
    });
  }

  #context(
    build: Build,
    workDir: string,
    log: BuildLog,
    signal: AbortSignal,
    progress: Progress,
  ): Omit<BuildContext, 'redact'> {
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

  /** Before a build: ends what an earlier run of the platform left; forgets the oldest of what it remembered. */
  #prepared(): Promise<void> {
    this.#ready ??= this.#prepare().catch((err) => {
      // Of no matter for the build that comes; the next one tries again.
      this.#ready = undefined;
      this.#options.log.warn({ err }, "the builds' folder could not be prepared");
    });
    return this.#ready;
  }

  async #prepare(): Promise<void> {
    const killed = await killLeftoverSteps(this.#folders.pids);
    if (killed > 0) this.#options.log.warn({ killed }, 'build steps of an earlier run were still there: killed');
    await rm(this.#folders.work, { recursive: true, force: true });
  }

  /** After a build, now and then: bounds the caches. What tools may be at is only removed while no build is at work. */
  async #tidy(): Promise<void> {
    const nowMs = this.#options.clock.monotonic();
    if (this.#tidiedMs !== undefined && nowMs - this.#tidiedMs < tidyEveryMs) return;
    this.#tidiedMs = nowMs;
    const { images, layers, npmCache, workspaces } = this.#folders;
    for (const folder of [images, layers]) await keepNewest(folder, cacheEntriesMax);
    const bytesMax = this.#options.cacheBytesMax ?? defaultCacheBytesMax;
    const doomed = [...(await beyond(npmCache, bytesMax)), ...(await beyond(workspaces, bytesMax))];
    if (doomed.length === 0) return;
    if (this.#atWork > 0)
      this.#tidiedMs = undefined; // After the next build, then.
    else this.#ready = removeAll(doomed);
    await this.#ready;
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
