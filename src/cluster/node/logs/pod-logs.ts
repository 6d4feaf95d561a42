import type { Pod } from '../../../api/core/pod.ts';
import { badRequest } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { LogOptions, PodLogs } from '../../pod-logs.ts';
import type { LogFiles } from './log-files.ts';
import { type ReadLogOptions, readLog } from './log-reader.ts';

/** Logs as the API server asks for them; throws ApiError 400 when there is nothing to read, before the first chunk. */
export function podLogs(logs: LogFiles, clock: Clock): PodLogs {
  return {
    async *read(pod, options) {
      const { container } = options;
      const runs = logs.runsOf(pod.metadata, container);
      const run = runs[options.previous ? 1 : 0];
      if (run === undefined) throw nothingToRead(pod, container, options.previous ?? false);
      yield* readLog(logs.pathOf(pod.metadata, container, run), { logs, clock }, readOptionsOf(options, clock.now()));
    },
  };
}

function readOptionsOf(options: LogOptions, nowMs: number): ReadLogOptions {
  const { follow, tailLines, sinceSeconds, sinceTime, timestamps, limitBytes, signal } = options;
  const result: ReadLogOptions = { follow: follow ?? false, timestamps: timestamps ?? false, signal };
  if (tailLines !== undefined) result.tailLines = tailLines;
  if (limitBytes !== undefined) result.limitBytes = limitBytes;
  if (sinceSeconds !== undefined) result.sinceMs = nowMs - sinceSeconds * 1000;
  else if (sinceTime !== undefined) result.sinceMs = Date.parse(sinceTime);
  return result;
}

function nothingToRead(pod: Pod, container: string, isPrevious: boolean) {
  const { name } = pod.metadata;
  if (isPrevious) return badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  const statuses = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
  const reason = statuses.find((s) => s.name === container)?.state?.waiting?.reason ?? 'ContainerCreating';
  return badRequest(`container "${container}" in pod "${name}" is waiting to start: ${reason}`);
}
