/** For tests: a real broker without an API server, and real HTTP servers as its subscribers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client, WatchOptions } from '../../../kube/client.ts';
import { type Clock, systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { NewEvent } from '../../backends/event-log.ts';
import { type SqliteBackend, sqliteBackend } from '../../backends/sqlite/sqlite-backend.ts';
import type { Flush } from '../../backends/sqlite/sqlite-file.ts';
import { appendAll } from '../../backends/testing/append-all.ts';
import type { CloudEvent } from '../../cloudevents/event.ts';
import { decodeHttp } from '../../cloudevents/http.ts';
import type { DeliveryConfig } from '../../dispatcher/subscriber.ts';
import type { TriggerConfig } from '../config.ts';
import { type BrokerOptions, type RunningBroker, startBroker } from '../index.ts';
import { writeKnown } from '../known.ts';

/** An API server that is away. */
export const awayClient = {
  watch: (_kind: unknown, { signal }: WatchOptions) => nothing(signal),
} as unknown as Client;

async function* nothing(signal: AbortSignal): AsyncGenerator<never> {
  if (!signal.aborted) await once(signal, 'abort');
  yield* [];
}

export interface Received {
  headers: IncomingHttpHeaders;
  body: Buffer;
  event: CloudEvent;
}

export interface Answer {
  status?: number;
  headers?: OutgoingHttpHeaders;
  body?: string;
}

export interface Subscriber {
  uri: string;
  received: Received[];
  stop(): Promise<void>;
}

/** An HTTP server that keeps what it gets and answers as `answer` says; a promise that never resolves never answers. */
export async function startSubscriber(
  answer: (received: Received, count: number) => Answer | Promise<Answer> = () => ({}),
): Promise<Subscriber> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const one = { headers: request.headers, body, event: decodeHttp(request.rawHeaders, body) };
    received.push(one);
    const { status = 200, headers = {}, body: text = '' } = await answer(one, received.length);
    response.writeHead(status, headers).end(text);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

export const delivery: DeliveryConfig = {
  retries: 0,
  policy: 'exponential',
  delayMs: 1,
  delayMaxMs: 1000,
  timeoutMs: 5000,
  retryAfterMaxMs: 600_000,
  format: 'binary',
};

/** A trigger of the broker `default/b`. */
export function triggerTo(uri: string | undefined, change: Partial<TriggerConfig> = {}): TriggerConfig {
  const name = change.name ?? 't';
  return {
    namespace: 'default',
    name,
    uid: `uid-of-${name}`,
    broker: 'b',
    filter: {},
    ...(uri === undefined ? {} : { subscriber: { uri } }),
    delivery,
    ...change,
  };
}

export interface TestBroker extends RunningBroker {
  dir: string;
  /** Posts an event in binary mode; resolves with the status and the text of the answer. */
  post(attributes?: Record<string, string>, data?: string): Promise<{ status: number; text: string }>;
}

export const testDir = (): Promise<string> => mkdtemp(join(tmpdir(), 'kittiwake-broker-'));

/** The logs of a broker in `dir`, as the platform keeps them. */
export const logsIn = (dir: string, options: { clock?: Clock; fdatasync?: Flush | undefined } = {}): SqliteBackend =>
  sqliteBackend({ clock: systemClock, ...options, dir: join(dir, 'logs') });

/** A broker that serves `default/b` with these triggers, from `dir` or a folder of its own. */
export async function startTestBroker(
  triggers: readonly TriggerConfig[],
  { fdatasync, ...options }: Partial<BrokerOptions> & { fdatasync?: Flush } = {},
): Promise<TestBroker> {
  const dir = options.dir ?? (await testDir());
  const brokers = [{ namespace: 'default', name: 'b', uid: 'uid-of-b' }];
  await writeKnown(join(dir, 'known.json'), { brokers, triggers: [...triggers] });
  const clock = options.clock ?? systemClock;
  const broker = await startBroker({
    client: awayClient,
    backend: logsIn(dir, { clock, fdatasync }),
    port: 0,
    clock,
    log: silentLogger,
    ...options,
    dir,
  });
  let serial = 0;
  return {
    ...broker,
    dir,
    async post(attributes = {}, data) {
      const event = { specversion: '1.0', id: String(++serial), source: '/test', type: 'test', ...attributes };
      const headers = Object.fromEntries(Object.entries(event).map(([name, value]) => [`ce-${name}`, value]));
      const response = await fetch(`${broker.url}/default/b`, {
        method: 'POST',
        headers: data === undefined ? headers : { ...headers, 'content-type': 'application/json' },
        body: data ?? null,
      });
      return { status: response.status, text: await response.text() };
    },
  };
}

/**
 * Puts events into the log of `default/b` past the door, as an older version, or a mistake, may have; each of
 * `triggers` will get them.
 */
export async function appendPastTheDoor(
  dir: string,
  triggers: readonly TriggerConfig[],
  events: readonly NewEvent[],
): Promise<string> {
  const onFailure = (error: unknown) => assert.fail(String(error));
  const log = await logsIn(dir).open({ namespace: 'default', name: 'b' }, { log: silentLogger, onFailure });
  for (const { namespace, name, uid } of triggers) await log.subscribe(`${namespace}/${name}`, uid);
  await appendAll(log, events);
  await log.close();
  return join(dir, 'logs', 'default', 'b.db');
}

export const removeDir = (dir: string): Promise<void> => rm(dir, { recursive: true, force: true });

export { until } from '../../../lib/testing/until.ts';

/** A clock on which nothing waits: it keeps how long each wait should have been, but for the log's own of 50 ms. */
export function hastyClock(): { clock: Clock; waits: number[] } {
  const waits: number[] = [];
  const after: Clock['after'] = (delayMs, task) => {
    if (delayMs !== 50) waits.push(delayMs);
    return systemClock.after(0, task);
  };
  return { clock: { ...systemClock, after }, waits };
}
