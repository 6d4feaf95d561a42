import type { Build, BuildStatus } from '../api/build/build.ts';
import { type Condition, timestamp } from '../api/meta.ts';
import { type ConditionManager, conditionSet } from '../kube/conditions.ts';

/** It has no dependents: a build is one piece of work. */
const conditions = conditionSet<'Succeeded'>({ happy: 'Succeeded', dependents: [] });

export const isFinished = ({ status }: Build): boolean => succeeded(status)?.status === 'True' || hasFailed(status);

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
  return {
    observedGeneration: build.metadata.generation ?? 0,
    startTime: build.status?.startTime ?? timestamp(nowMs),
    ...more,
    conditions: managed.conditions,
  };
}

function succeeded(status: BuildStatus | undefined): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Succeeded');
}

function hasFailed(status: BuildStatus | undefined): boolean {
  return succeeded(status)?.status === 'False';
}
