import { createInterface } from 'node:readline';
import { type Pod, PodKind } from '../api/core/pod.ts';
import type { Key } from '../api/meta.ts';
import { isNotFound } from '../api/status.ts';
import type { RunningPlatform } from './platform.ts';

export interface LogOptions {
  follow: boolean;
  tailLines?: number;
}

export interface LogLine {
  pod: string;
  text: string;
}

/** A pod may print nothing for this long. */
const silenceMs = 24 * 3_600_000;

/** The lines of all pods of a service; with `follow`, also of pods to come, until `signal` aborts. */
export async function readServiceLogs(
  platform: RunningPlatform,
  key: Key,
  options: LogOptions,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const labelSelector = `serving.knative.dev/service=${key.name}`;
  const selection = { namespace: key.namespace ?? 'default', labelSelector };
  if (!options.follow) {
    const { items } = await platform.client.list(PodKind, selection);
    for (const pod of items) await readPod(platform, pod, options, onLine, signal);
    return;
  }
  const followed = new Set<string>();
  const failures: unknown[] = [];
  for await (const event of platform.client.watch(PodKind, { ...selection, signal })) {
    if (failures.length > 0) throw failures[0];
    if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
    const uid = event.object.metadata.uid ?? '';
    if (followed.has(uid) || event.object.status?.containerStatuses?.[0]?.state?.running === undefined) continue;
    followed.add(uid);
    readPod(platform, event.object, options, onLine, signal).catch((error) => failures.push(error));
  }
}

async function readPod(
  platform: RunningPlatform,
  pod: Pod,
  { follow, tailLines }: LogOptions,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name } = pod.metadata;
  const query = new URLSearchParams({
    follow: String(follow),
    ...(tailLines === undefined ? {} : { tailLines: String(tailLines) }),
  });
  try {
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/log?${query}`;
    const body = await platform.transport.stream({ method: 'GET', path, signal }, { silenceMs, headMs: silenceMs });
    for await (const text of createInterface({ input: body, crlfDelay: Number.POSITIVE_INFINITY }))
      onLine({ pod: name, text });
  } catch (error) {
    if (signal.aborted || isNotFound(error)) return; // The pod, or our interest in it, is gone.
    throw error;
  }
}
