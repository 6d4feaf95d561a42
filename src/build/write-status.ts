import { type Build, BuildKind, type BuildStatus } from '../api/build/build.ts';
import { keyOf, keyText } from '../api/meta.ts';
import { isConflict, isNotFound } from '../api/status.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';
import { sleep } from '../lib/clock.ts';

const reportDelayMsMax = 30_000;

/** Writes over whatever status is stored: nobody else writes it. A Build that is gone, or replaced, needs none. */
export async function writeStatus(
  build: Build,
  status: BuildStatus,
  { client }: ReconcileContext,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const current = await client.get(BuildKind, keyOf(build));
    if (current?.metadata.uid !== build.metadata.uid || current === undefined) return;
    const startTime = current.status?.startTime ?? status.startTime ?? '';
    try {
      await client.update(BuildKind, { ...current, status: { ...status, startTime } }, 'status');
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error) || attempt === 5) throw error;
    }
  }
}

/** Writes the last status, again and again until it is written or nobody wants it: a build runs once. */
export async function writeLastStatus(
  build: Build,
  status: BuildStatus,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await writeStatus(build, status, context, signal);
    } catch (err) {
      if (signal.aborted) throw err;
      const delayMs = Math.min(250 * 2 ** attempt, reportDelayMsMax);
      const about = { err, build: keyText(keyOf(build)), delayMs };
      context.log.warn(about, 'the status of a build could not be written: trying again');
      await sleep(context.clock, delayMs, signal);
    }
  }
}
