import type { Build, BuildStatus } from '../api/build/build.ts';
import { type Condition, timestamp } from '../api/meta.ts';
import { transitionTime } from '../kube/conditions.ts';
import type { BuildResult } from './build-image.ts';

/** How much of a build's log its status keeps. */
export const statusLogBytes = 16 * 1024;

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
    conditions: [condition(build, 'Unknown', nowMs, reason, message)],
  };
}

export function succeededStatus(build: Build, result: BuildResult, log: string, nowMs: number): BuildStatus {
  const { image, digest, source } = result;
  return {
    ...ended(build, log, nowMs),
    source,
    output: { image, digest },
    conditions: [condition(build, 'True', nowMs)],
  };
}

export function failedStatus(build: Build, reason: string, message: string, log: string, nowMs: number): BuildStatus {
  return { ...ended(build, log, nowMs), conditions: [condition(build, 'False', nowMs, reason, message)] };
}

function ended(build: Build, log: string, nowMs: number): BuildStatus {
  return {
    observedGeneration: build.metadata.generation ?? 0,
    startTime: build.status?.startTime ?? timestamp(nowMs),
    completionTime: timestamp(nowMs),
    log,
  };
}

function condition(
  build: Build,
  status: Condition['status'],
  nowMs: number,
  reason?: string,
  message?: string,
): Condition {
  const type = 'Succeeded';
  return {
    type,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    lastTransitionTime: transitionTime(build.status?.conditions, type, status, timestamp(nowMs)),
  };
}

function succeeded(status: BuildStatus | undefined): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === 'Succeeded');
}

function hasFailed(status: BuildStatus | undefined): boolean {
  return succeeded(status)?.status === 'False';
}
