import { type Build, BuildKind, type BuildStatus } from '../api/build/build.ts';
import { type Condition, keyOf, keyText, timestamp } from '../api/meta.ts';
import { type ConditionManager, conditionSet } from '../kube/conditions.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';
import { sleep } from '../lib/clock.ts';

/** It has no dependents: a build is one piece of work. */
const conditions = conditionSet<'Succeeded'>({ happy: 'Succeeded', dependents: [] });

export const isFinished = ({ status }: Build): boolean => ['True', 'False'].includes(succeeded(status)?.status ?? '');

/** The status of a Build whose one condition is as `mark` says. */
export function statusOf(
  build: Build,
  nowMs: number,
  mark: (condition: ConditionManager<'Succeeded'>) => void,
  more: BuildStatus = {},
): BuildStatus {
  const stored = succeeded(build.status);
  const managed = conditions.manage(stored && [stored], timestamp(nowMs));
  mark(managed);
  const { metadata, status: { startTime = timestamp(nowMs) } = {} } = build;
  return { observedGeneration: metadata.generation ?? 0, startTime, ...more, conditions: managed.conditions };
}

const succeeded = (status: BuildStatus | undefined): Condition | undefined =>
  status?.conditions?.find(({ type }) => type === 'Succeeded');

/** Writes over what is stored: nobody else writes it. A Build that is gone, or replaced, needs none. */
export async function writeStatus(build: Build, status: BuildStatus, { client }: ReconcileContext): Promise<void> {
  const { uid } = build.metadata;
  const current = await client.get(BuildKind, keyOf(build));
  if (current === undefined || current.metadata.uid !== uid) return;
  await client.patch(BuildKind, keyOf(build), { type: 'merge', patch: { metadata: { uid }, status } }, 'status');
}

const writeDelayMsMax = 30_000;

/** Writes the last status, again and again until it is written or nobody wants it: a build runs once. */
export async function writeLastStatus(
  build: Build,
  status: BuildStatus,
  context: ReconcileContext,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await writeStatus(build, status, context);
    } catch (err) {
      const delayMs = Math.min(250 * 2 ** attempt, writeDelayMsMax);
      const about = { err, build: keyText(keyOf(build)), delayMs };
      context.log.warn(about, 'the status of a build could not be written: trying again');
      await sleep(context.clock, delayMs, signal);
    }
  }
}
