import type { Build, BuildStatus } from '../api/build/build.ts';
import { type Condition, timestamp } from '../api/meta.ts';
import { type ConditionManager, conditionSet } from '../kube/conditions.ts';
import type { BuildResult } from './build-image.ts';

/** It has no dependents: a build is one piece of work. */
const conditions = conditionSet<'Succeeded'>({ happy: 'Succeeded', dependents: [] });

export const isFinished = ({ status }: Build): boolean => succeeded(status)?.status === 'True' || hasFailed(status);

/** The status of a build that waits or is at work. */
export function runningStatus(
  build: Build,
  reason: 'Pending' | 'Building',
  message: string,
  nowMs: number,
): BuildStatus {
  return {
    observedGeneration: build.metadata.generation ?? 0,
    startTime: build.status?.startTime ?? timestamp(nowMs),
    conditions: conditionsOf(build, nowMs, (managed) => managed.markUnknown('Succeeded', reason, message)),
  };
}

export function succeededStatus(build: Build, result: BuildResult, log: string, nowMs: number): BuildStatus {
  const { image, digest, source } = result;
  return {
    ...ended(build, log, nowMs),
    source,
    output: { image, digest },
    conditions: conditionsOf(build, nowMs, (managed) => managed.markTrue('Succeeded')),
  };
}

export function failedStatus(build: Build, reason: string, message: string, log: string, nowMs: number): BuildStatus {
  return {
    ...ended(build, log, nowMs),
    conditions: conditionsOf(build, nowMs, (managed) => managed.markFalse('Succeeded', reason, message)),
  };
}

function ended(build: Build, log: string, nowMs: number): BuildStatus {
  return {
    observedGeneration: build.metadata.generation ?? 0,
    startTime: build.status?.startTime ?? timestamp(nowMs),
    completionTime: timestamp(nowMs),
    log,
  };
}

function conditionsOf(
  { status }: Build,
  nowMs: number,
  mark: (managed: ConditionManager<'Succeeded'>) => void,
): Condition[] {
  const stored = succeeded(status);
  const managed = conditions.manage(stored && [stored], timestamp(nowMs));
  mark(managed);
  return managed.conditions;
}

function succeeded(status: BuildStatus | undefined): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Succeeded');
}

function hasFailed(status: BuildStatus | undefined): boolean {
  return succeeded(status)?.status === 'False';
}
