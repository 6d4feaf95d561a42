/** For tests: a dispatcher of which the test says what the log holds, how each attempt ends, and what time it is. */

import { NoReplyError } from '../../../lib/http-client.ts';
import { Quarantine } from '../../../lib/quarantine.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { LogCursor } from '../../backends/sqlite/log-cursor.ts';
import { Progress } from '../../backends/sqlite/progress.ts';
import { SqliteSubscription } from '../../backends/sqlite/sqlite-subscription.ts';
import type { StoredEvent } from '../../backends/sqlite/stored-event.ts';
import type { HttpReply, Poster, PostOptions } from '../../poster.ts';
import { Dispatcher, type DispatcherOptions } from '../dispatcher.ts';
import type { DeliveryConfig, SubscriberConfig } from '../subscriber.ts';

export const delivery: DeliveryConfig = {
  retries: 0,
  policy: 'linear',
  delayMs: 100,
  delayMaxMs: 1e9,
  timeoutMs: 5000,
  retryAfterMaxMs: 600_000,
  format: 'binary',
};
export const worker = { uri: 'http://worker/' };
export const letters = { uri: 'http://letters/' };
export const reply = (status: number, headers: Record<string, string> = {}): HttpReply => ({
  status,
  headers,
  rawHeaders: Object.entries(headers).flat(),
  body: Buffer.alloc(0),
  isCut: false,
});
export const stored = (offset: number, change: Partial<StoredEvent> = {}): StoredEvent => ({
  offset,
  arrivedAt: 0,
  sizeBytes: 100,
  headers: [],
  event: { attributes: { specversion: '1.0', id: String(offset), source: '/s', type: 't' } },
  ...change,
});
export const events = (count: number, change?: Partial<StoredEvent>) =>
  Array.from({ length: count }, (_, i) => stored(i + 1, change));

/** An attempt under way. */
interface Post {
  /** Whom it is for, and the event's id. */
  to: string;
  headers: readonly string[];
  options: PostOptions;
  answer(reply: HttpReply): void;
  fail(error: unknown): void;
}

/** Metrics of a dispatcher, and what they have counted. */
export function countedDeliveries() {
  const counts = { delivered: 0, retried: 0, deadLettered: 0, dropped: 0 };
  const metrics: DispatcherOptions['metrics'] = {
    delivered: () => counts.delivered++,
    retried: () => counts.retried++,
    deadLettered: () => counts.deadLettered++,
    dropped: () => counts.dropped++,
  };
  return { counts, metrics };
}

export function dispatching(held: StoredEvent[], change: Partial<DispatcherOptions> & { trigger?: object } = {}) {
  const { trigger, ...options } = change;
  const clock = new VirtualClock();
  const waits: number[] = [];
  const after = clock.after.bind(clock);
  clock.after = (delayMs, task) => {
    waits.push(delayMs);
    return after(delayMs, task);
  };
  const progress = new Progress(1);
  const posts: Post[] = [];
  const reads: string[] = [];
  const errors: string[] = [];
  const replies: unknown[] = [];
  const { counts, metrics } = countedDeliveries();
  const log = {
    async read(from: number, limit: number): Promise<readonly StoredEvent[]> {
      reads.push(`${from}+${limit}`);
      return held.filter(({ offset }) => offset >= from).slice(0, limit);
    },
    get end() {
      return held.length + 1;
    },
    onAppend: () => () => {},
  };
  const cursor = new LogCursor({ consumer: 'c', owner: 'o', progress }, () => {});
  const poster = {
    post(target: { url: URL }, headers: readonly string[], _body: unknown, posted: PostOptions) {
      const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
      const id = headers[headers.indexOf('ce-id') + 1];
      posts.push({ to: `${id} to ${hostOf(target)}`, headers, options: posted, answer: resolve, fail: reject });
      posted.signal?.addEventListener('abort', () => reject(new NoReplyError('stopped', 'ABORTED')));
      return promise;
    },
  };
  const config: SubscriberConfig = { namespace: 'default', name: 't', subscriber: worker, delivery, ...trigger };
  const dispatcher = new Dispatcher({
    subscription: new SqliteSubscription(log, cursor, clock),
    reply: async ({ event }) => {
      replies.push(event.attributes.id);
      return undefined;
    },
    origin: 'default/b',
    config,
    matches: () => true,
    quarantine: new Quarantine(),
    poster: poster as unknown as Poster,
    gatewayUrl: undefined,
    inFlightMax: 10_000,
    replyBytesMax: 1000,
    clock,
    log: { ...silentLogger, error: (_, message) => errors.push(message) },
    metrics,
    ...options,
  });
  return {
    dispatcher,
    clock,
    waits,
    progress,
    posts,
    reads,
    errors,
    replies,
    log,
    counts,
    to: () => posts.map((post) => post.to),
    update: (update: object) => dispatcher.update({ ...config, ...update }, () => true),
    /** Ends the attempt at this place, and lets what follows follow. */
    async answer(i: number, status: number, headers?: Record<string, string>) {
      posts[i]?.answer(reply(status, headers));
      await settled();
    },
    async fail(i: number, error: unknown) {
      posts[i]?.fail(error);
      await settled();
    },
  };
}

const hostOf = (target: unknown) => /worker|letters/.exec(JSON.stringify(target))?.[0];

export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
