import { type Pod, PodKind } from '../api/core/pod.ts';
import type { Key } from '../api/meta.ts';
import { labels } from '../api/serving/names.ts';
import { isNotFound } from '../api/status.ts';
import type { RunningPlatform } from './platform.ts';
import { watchOn } from './watch-on.ts';

export interface LogOptions {
  follow: boolean;
  tailLines?: number;
}

export interface LogLine {
  pod: string;
  text: string;
}

/** The label selector of all pods of a service. */
export const podsOfService = (name: string) => `${labels.service}=${name}`;

/** A pod that is followed may print nothing for this long; one that is only read answers at once. */
const silenceMs = { followed: 24 * 3_600_000, read: 30_000 };
/** What has no line end for so many characters is cut. */
const lineCharsMax = 1 << 20;

/**
 * The lines of all pods of a service; with `follow`, also of pods to come, until `signal` aborts. Throws when a log
 * cannot be read, or the server is gone.
 */
export async function readServiceLogs(
  platform: RunningPlatform,
  key: Key,
  options: LogOptions,
  onLine: (line: LogLine) => void,
  signal: AbortSignal,
): Promise<void> {
  const selection = { namespace: key.namespace ?? 'default', labelSelector: podsOfService(key.name) };
  if (!options.follow) {
    const { items } = await platform.client.list(PodKind, selection);
    for (const pod of items) await readPod(platform, pod, options, onLine, signal);
    return;
  }
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const followed = new Set<string>();
  try {
    for await (const event of watchOn(platform.client, PodKind, { ...selection, signal: either })) {
      if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
      const uid = event.object.metadata.uid ?? '';
      if (followed.has(uid) || event.object.status?.containerStatuses?.[0]?.state?.running === undefined) continue;
      followed.add(uid);
      readPod(platform, event.object, options, onLine, either).catch((error) => failed.abort(error));
    }
    if (failed.signal.aborted) throw failed.signal.reason;
  } finally {
    failed.abort(); // Whatever ended this ends the reading of the pods, too.
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
    const silentMs = follow ? silenceMs.followed : silenceMs.read;
    const body = await platform.transport.stream(
      { method: 'GET', path, signal },
      { silenceMs: silentMs, headMs: silentMs }, // The head comes with the first line.
    );
    for await (const text of boundedLines(body.setEncoding('utf8'))) onLine({ pod: name, text });
  } catch (error) {
    if (signal.aborted || isNotFound(error)) return; // The pod, or our interest in it, is gone.
    throw error;
  }
}

/** The lines of a text, whatever ends them; one that does not end is cut, as it would fill the memory. */
export async function* boundedLines(texts: AsyncIterable<unknown>, charsMax = lineCharsMax): AsyncGenerator<string> {
  // Parts of a line that has not ended: joined once, or a line that drips in would be copied for each drop.
  let parts: string[] = [];
  let length = 0;
  const joined = (last: string) => {
    const line = parts.join('') + last;
    parts = [];
    length = 0;
    return line.endsWith('\r') ? line.slice(0, -1) : line;
  };
  for await (const chunk of texts) {
    const pieces = String(chunk).split('\n');
    const rest = pieces.pop() ?? '';
    for (const piece of pieces) yield joined(piece);
    parts.push(rest);
    length += rest.length;
    if (length > charsMax) yield joined('');
  }
  if (length > 0) yield joined('');
}
