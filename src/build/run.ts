import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Build, type BuildStatus, buildTimeoutMs, defaultBuildTimeout } from '../api/build/build.ts';
import { keyOf, keyText, timestamp } from '../api/meta.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';
import { type Clock, sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { type Quarantine, SetAsideError } from '../lib/quarantine.ts';
import type { Semaphore } from '../lib/semaphore.ts';
import type { Logger } from '../observe/log.ts';
import type { BuildResult } from './build-image.ts';
import { type Builder, BuilderDied, type BuildOutcome } from './builder.ts';
import { buildFolders } from './context.ts';
import type { BuildFailureReason } from './failure.ts';
import type { Housekeeping } from './housekeeping.ts';
import { Progress } from './progress.ts';
import { type Redact, redactFor } from './redact.ts';
import { statusOf, writeLastStatus, writeStatus } from './status.ts';
import { endLeftSteps } from './steps/left-steps.ts';
import { BuildLog, statusLogBytes } from './steps/log.ts';

/** More of a message belongs into the log. */
const messageCharsMax = 8 * 1024;
/** A build that has ended its process so often is not tried again. */
const deathsMax = 2;

class TimedOut extends Error {}

/** How a build ended. */
type End = { type: 'built'; result: BuildResult } | { type: 'failed'; reason: BuildFailureReason; message: string };

/** What all runs share. */
export interface RunOptions {
  /** Where a host of images' names really is; the builds' processes have clients of their own. */
  mirrors: Record<string, string>;
  /** The builds' own folder: caches, workspaces, work in progress. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  /** Knows which builds are at work: one that ends the process twice is not tried a third time, and fails. */
  quarantine: Quarantine;
  builder: Builder;
  /** How long after a failure that is not the source's fault (the registry is away) a build is tried again. */
  retryDelaysMs: readonly number[];
  /** The host of the images' names. */
  imageHost: string;
  slots: Semaphore;
  housekeeping: Housekeeping;
  /** Counts a build that has ended. */
  observe(result: string, seconds: number): void;
}

interface Run {
  build: Build;
  /** As the quarantine calls it. */
  work: string;
  log: BuildLog;
  progress: Progress;
}

/**
 * One Build, from its place in the queue to its last status. Whatever is thrown in between is that build's failure;
 * rejects when `cancelled` aborts.
 */
export async function runBuild(
  wanted: Build,
  options: RunOptions,
  context: ReconcileContext,
  cancelled: AbortSignal,
): Promise<void> {
  const { clock } = options;
  const key = keyText(keyOf(wanted));
  const startTime = wanted.status?.startTime ?? timestamp(clock.now());
  const build = { ...wanted, status: { ...wanted.status, startTime } };
  const redact = redactFor(build.spec.source?.git?.url);
  const log = new BuildLog(undefined, redact);
  const progress = new Progress(clock, (reason, message) => {
    const status = statusOf(build, clock.now(), (is) => is.markUnknown('Succeeded', reason, redact(message)));
    return writeStatus(build, status, context);
  });
  let end: End;
  try {
    end = await inSlot({ build, work: `building ${key}`, log, progress }, options, cancelled);
  } catch (error) {
    if (cancelled.aborted) throw error;
    if (!(error instanceof SetAsideError)) {
      options.log.error({ err: error, build: key }, 'a build failed where nothing should');
    }
    end = couldNotBeDone(messageOf(error));
  } finally {
    await progress.stop();
  }
  const status = endStatus(build, end, log, redact, clock.now());
  await writeLastStatus(build, status, context, cancelled);
  const { reason } = status.conditions?.[0] ?? {};
  context.log.info({ build: key, result: resultOf(end), reason, digest: status.output?.digest }, 'build ended');
}

function endStatus(build: Build, end: End, log: BuildLog, redact: Redact, nowMs: number): BuildStatus {
  const completionTime = timestamp(nowMs);
  if (end.type === 'built') {
    const { image, digest, source } = end.result;
    const more = { completionTime, log: log.tail(statusLogBytes), source, output: { image, digest } };
    return statusOf(build, nowMs, (is) => is.markTrue('Succeeded'), more);
  }
  const message = redact(end.message).slice(0, messageCharsMax);
  log.say(message);
  const more = { completionTime, log: log.tail(statusLogBytes) };
  return statusOf(build, nowMs, (is) => is.markFalse('Succeeded', end.reason, message), more);
}

const resultOf = ({ type }: End) => (type === 'built' ? 'succeeded' : 'failed');

const couldNotBeDone = (why: string): End => ({
  type: 'failed',
  reason: 'BuildFailed',
  message: `the build could not be done: ${why}`,
});

/** Waits for its turn; from then on it has as long as its spec says. */
async function inSlot(run: Run, options: RunOptions, cancelled: AbortSignal): Promise<End> {
  const { clock, housekeeping, observe, quarantine, slots } = options;
  const { spec } = run.build;
  await housekeeping.prepared();
  run.progress.say('Pending', 'waiting for other builds to end');
  const leave = await slots.enter(cancelled);
  run.progress.say('Building', 'starting');
  const timeout = new AbortController();
  const cancelTimeout = clock.after(buildTimeoutMs(spec), () => {
    const timed = spec.timeout ?? defaultBuildTimeout;
    timeout.abort(new TimedOut(`the build took longer than ${timed}: raise spec.timeout (at most 24h)`));
  });
  housekeeping.begin();
  const startedMs = clock.monotonic();
  try {
    const signal = AbortSignal.any([cancelled, timeout.signal]);
    const end = await quarantine.run(run.work, () => untilEnded(run, options, signal));
    observe(resultOf(end), (clock.monotonic() - startedMs) / 1000);
    return end;
  } finally {
    cancelTimeout();
    leave();
    housekeeping.end();
  }
}

/** Attempts until one says how the build ended. Throws when it was cancelled. */
async function untilEnded(run: Run, options: RunOptions, signal: AbortSignal): Promise<End> {
  const { clock, retryDelaysMs } = options;
  const { log, work } = run;
  const about = { build: keyText(keyOf(run.build)) };
  for (let attempt = 0, deaths = 0; ; attempt++) {
    try {
      const outcome = await attemptOnce(run, options, signal);
      if (outcome.type !== 'broke') return outcome;
      throw Object.assign(new Error(outcome.message), { stack: outcome.stack });
    } catch (error) {
      const { reason } = signal;
      if (reason instanceof TimedOut) return { type: 'failed', reason: 'BuildTimeout', message: reason.message };
      if (signal.aborted) throw error;
      options.log.warn({ ...about, err: error, attempt }, 'a build broke off');
      if (error instanceof BuilderDied && error.isOwnDoing && ++deaths === deathsMax) {
        options.quarantine.setAside(work, error.message);
        return couldNotBeDone(`${error.message}: ${new SetAsideError(work).message}`);
      }
      const delayMs = retryDelaysMs[attempt];
      if (delayMs === undefined) return couldNotBeDone(messageOf(error));
      log.say(`${messageOf(error)}: trying again`);
      // When it aborts, the next attempt ends at once and says why.
      await sleep(clock, delayMs, signal).catch(() => {});
    }
  }
}

/** Gives the attempt its folders, and leaves nothing of it behind, however it ends. */
async function attemptOnce(run: Run, options: RunOptions, signal: AbortSignal): Promise<BuildOutcome> {
  const { build, log, progress } = run;
  const { mirrors, dataDir: buildDir, imageHost } = options;
  const folders = buildFolders(buildDir);
  const id = randomUUID();
  const workDir = join(folders.work, id);
  const pidDir = join(folders.pids, id);
  const repository = `${imageHost}/${build.metadata.namespace ?? 'default'}/${repositoryName(build)}`;
  let said = '';
  try {
    await mkdir(workDir, { recursive: true });
    const job = { spec: build.spec, repository, mirrors, buildDir, workDir, pidDir };
    const onProgress = (message: string, soFar: string) => {
      said = soFar;
      progress.say('Building', message);
    };
    const outcome = await options.builder.build(job, onProgress, signal);
    said = outcome.log;
    return outcome;
  } finally {
    log.write(said);
    await endLeftSteps(pidDir);
    // What a step left may still write into it, or have taken our rights: then it goes at the next start.
    await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((err) => {
      options.log.warn({ err, workDir }, "a build's folder could not be removed");
    });
  }
}

/** All builds of one Configuration push to one repository, which therefore has its layers already. */
function repositoryName(build: Build): string {
  const owner = build.metadata.ownerReferences?.find(({ controller }) => controller);
  return owner?.name ?? build.metadata.name;
}
