/**
 * An API server in a process of its own, so that its memory can be held: a child of memory.test.ts. It answers each
 * message with one; see `Ask`.
 */
import { ConfigMapKind } from '../../../api/core/config-map.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { PodLogs } from '../../pod-logs.ts';
import { openApiServer } from '../index.ts';

export type Ask =
  | { ask: 'memory' }
  /** Replaces the ConfigMap `name` so many times, each time with so many bytes. */
  | { ask: 'update'; name: string; times: number; bytes: number }
  /** Creates so many ConfigMaps. */
  | { ask: 'fill'; prefix: string; count: number; bytes: number }
  /** Opens in-process watches that never read. */
  | { ask: 'watch'; count: number };

/** Endless logs, at once. */
const podLogs: PodLogs = {
  async *read(_pod, { signal }) {
    const line = Buffer.alloc(64 * 1024, 'x');
    while (!signal.aborted) {
      yield line;
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
};

const api = await openApiServer({
  dataDir: process.argv[2] ?? '',
  clock: systemClock,
  log: silentLogger,
  kinds: [],
  podLogs,
});
const { url } = await api.listen({ port: 0 });
const kept: unknown[] = [];

const configMap = (name: string, bytes: number, i: number) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'default', name },
  data: { text: `${i}`.padEnd(bytes, 'x') },
});

async function answer(message: Ask): Promise<unknown> {
  if (message.ask === 'memory') {
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return process.memoryUsage().rss;
  }
  if (message.ask === 'update') {
    const { bytes, name, times } = message;
    await api.client.create(ConfigMapKind, configMap(name, 1, 0)).catch(() => {}); // It may be there.
    for (let i = 0; i < times; i++) await api.client.update(ConfigMapKind, configMap(name, bytes, i));
  }
  if (message.ask === 'fill') {
    const { bytes, count, prefix } = message;
    for (let i = 0; i < count; i++) await api.client.create(ConfigMapKind, configMap(`${prefix}${i}`, bytes, i));
  }
  if (message.ask === 'watch') {
    for (let i = 0; i < message.count; i++) {
      const watch = api.client.watch(ConfigMapKind, { signal: new AbortController().signal })[Symbol.asyncIterator]();
      await watch.next();
      kept.push(watch);
    }
  }
  return 'done';
}

process.on('message', (message: Ask) => {
  answer(message).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ result: url });
