import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Build, type BuildStatus, buildTimeoutMs, defaultBuildTimeout } from '../api/build/build.ts';
import { keyOf, keyText } from '../api/meta.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';
import { sleep } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { SetAsideError } from '../lib/quarantine.ts';
import { BuilderDied, type BuildOutcome } from './builder.ts';
import { Progress } from './progress.ts';
import { redactFor } from './redact.ts';
import type { Workshop } from './runs.ts';
import { failedStatus, runningStatus, succeededStatus } from './status.ts';
import { endLeftSteps } from './steps/left-steps.ts';
import { BuildLog, statusLogBytes } from './steps/log.ts';
import { writeLastStatus, writeStatus } from './write-status.ts';

/** More of a message belongs into the log. */
const messageCharsMax = 8 * 1024;
/** A build that has ended its process so often is not tried again. */
const deathsMax = 2;

export class Cancelled extends Error {}
class TimedOut extends Error {}

/**
 * One Build, from its place in the queue to its last status. Whatever is thrown in between is that build's failure;
 * rejects when `cancelled` aborts.
 */
export async function runBuild(
  build: Build,
  workshop: Workshop,
  context: ReconcileContext,
  cancelled: AbortSignal,
): Promise<void> {
  const { clock } = workshop;
  const key = keyText(keyOf(build));
  const redact = redactFor(build.spec.source?.git?.url);
  const log = new BuildLog(undefined, redact);
  const progress = new Progress(clock, (reason, message) =>
    writeStatus(build, runningStatus(build, reason, redact(message), clock.now()), context, cancelled),
  );
  const ended: Ended = {
    built: (result) => succeededStatus(build, result, log.tail(statusLogBytes), clock.now()),
    failed(reason, message) {
      const said = redact(message).slice(0, messageCharsMax);
      log.say(said);
      return failedStatus(build, reason, said, log.tail(statusLogBytes), clock.now());
    },
  };
  let status: BuildStatus;
  try {
    status = await inSlot({ build, work: `building ${key}`, log, progress, ended }, workshop, cancelled);
  } catch (error) {
    if (cancelled.aborted) throw error;
    if (!(error instanceof SetAsideError)) {
      workshop.log.error({ err: error, build: key }, 'a build failed where nothing should');
    }
    status = ended.failed('BuildFailed', `the build could not be done: ${messageOf(error)}`);
  } finally {
    await progress.stop();
  }
  const result = status.output ? 'succeeded' : 'failed';
  await writeLastStatus(build, status, context, cancelled);
  const { reason } = status.conditions?.[0] ?? {};
  context.log.info({ build: key, result, reason, digest: status.output?.digest }, 'build ended');
}

/** The status that a build ends with. */
interface Ended {
  built(result: Extract<BuildOutcome, { type: 'built' }>['result']): BuildStatus;
  failed(reason: string, message: string): BuildStatus;
}

interface Run {
  build: Build;
  /** As the quarantine calls it. */
  work: string;
  log: BuildLog;
  progress: Progress;
  ended: Ended;
}

/** Waits for its turn; from then on it has as long as its spec says. */
async function inSlot(run: Run, workshop: Workshop, cancelled: AbortSignal): Promise<BuildStatus> {
  const { clock, housekeeping, observe, quarantine, slots } = workshop;
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
    const status = await quarantine.run(run.work, () => untilEnded(run, workshop, signal));
    observe(status.output ? 'succeeded' : 'failed', (clock.monotonic() - startedMs) / 1000);
    return status;
  } finally {
    cancelTimeout();
    leave();
    housekeeping.end();
  }
}

/** Attempts until one says how the build ended. Throws when it was cancelled. */
async function untilEnded(run: Run, workshop: Workshop, signal: AbortSignal): Promise<BuildStatus> {
  const { clock, retryDelaysMs } = workshop;
  const { ended, log, work } = run;
  const about = { build: keyText(keyOf(run.build)) };
  for (let attempt = 0, deaths = 0; ; attempt++) {
    try {
      const outcome = await attemptOnce(run, workshop, signal);
      if (outcome.type === 'built') return ended.built(outcome.result);
      if (outcome.type === 'failed') return ended.failed(outcome.reason, outcome.message);
      throw Object.assign(new Error(outcome.message), { stack: outcome.stack });
    } catch (error) {
      if (signal.reason instanceof TimedOut) return ended.failed('BuildTimeout', signal.reason.message);
      if (signal.aborted) throw error;
      workshop.log.warn({ ...about, err: error, attempt }, 'a build broke off');
      if (error instanceof BuilderDied && error.isOwnDoing && ++deaths === deathsMax) {
        workshop.quarantine.setAside(work, error.message);
        const message = `${error.message}: ${new SetAsideError(work).message}`;
        return ended.failed('BuildFailed', `the build could not be done: ${message}`);
      }
      const delayMs = retryDelaysMs[attempt];
      if (delayMs === undefined) return ended.failed('BuildFailed', `the build could not be done: ${messageOf(error)}`);
      log.say(`${messageOf(error)}: trying again`);
      // When it aborts, the next attempt ends at once and says why.
      await sleep(clock, delayMs, signal).catch(() => {});
    }
  }
}

/** Gives the attempt its folders, and leaves nothing of it behind, however it ends. */
async function attemptOnce(run: Run, workshop: Workshop, signal: AbortSignal): Promise<BuildOutcome> {
  const { build, log, progress } = run;
  const { folders, mirrors, buildDir, imageHost } = workshop;
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
    const outcome = await workshop.builder.build(job, onProgress, signal);
    said = outcome.log;
    return outcome;
  } finally {
    log.write(said);
    await endLeftSteps(pidDir);
    // What a step left may still write into it, or have taken our rights: then it goes at the next start.
    await rm(workDir, { recursive: true, force: true, maxRetries: 3 }).catch((err) => {
      workshop.log.warn({ err, workDir }, "a build's folder could not be removed");
    });
  }
}

/** All builds of one Configuration push to one repository, which therefore has its layers already. */
function repositoryName(build: Build): string {
  const owner = build.metadata.ownerReferences?.find(({ controller }) => controller);
  return owner?.name ?? build.metadata.name;
}
