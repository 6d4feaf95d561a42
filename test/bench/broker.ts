import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeKnown } from '../../src/eventing/broker/known.ts';
import { roleFlags } from '../../src/server/supervised-role.ts';

const warmUpCount = 3_000;
const count = 30_000;
const lanes = 64;

/**
 * The broker on a real disk, its producers and its subscriber in processes of their own: how many events a second go
 * durably from 202 to the subscriber's 2xx, and how long an event takes to be accepted at half that load.
 */
export async function run(): Promise<{ figures: Record<string, number>; table: string[][] }> {
  const dir = await mkdtemp(join(tmpdir(), 'kittiwake-bench-broker-'));
  const children: ChildProcess[] = [];
  const start = (...args: string[]) => {
    // As the roles of the platform do: their flags, and code that is cached needs no compiler in memory.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'kittiwake-bench-cache') };
    const child = fork(join(import.meta.dirname, 'broker/processes.ts'), args, {
      serialization: 'advanced',
      env,
      execArgv: [...roleFlags],
    });
    children.push(child);
    return child;
  };
  const fillCache = async () => {
    const first = start('broker', join(dir, 'first'));
    await reply(first);
    first.disconnect();
    await once(first, 'exit');
  };
  try {
    const subscriber = start('subscriber');
    const { port: subscriberPort } = await reply<{ port: number }>(subscriber);
    await writeKnown(join(dir, 'known.json'), knownOf(subscriberPort));
    await fillCache();
    const broker = start('broker', dir);
    const { port } = await reply<{ port: number }>(broker);
    const idle = await ask<{ residentBytes: number }>(broker);
    const producer = start('producer', String(port));
    const delivered = async () => (await ask<{ count: number }>(subscriber)).count;

    await load(producer, { count: warmUpCount, lanes });
    await until(delivered, warmUpCount);
    const startedMs = performance.now();
    const full = await load(producer, { count, lanes });
    const acceptedMs = performance.now() - startedMs;
    await until(delivered, warmUpCount + count);
    const eventsPerSecond = (count * 1000) / (performance.now() - startedMs);

    const rate = eventsPerSecond / 2;
    const half = await load(producer, { count: Math.round(rate * 8), lanes, rate });
    const after = await ask<{ residentBytes: number }>(broker);
    if (full.refused + half.refused > 0) throw new Error(`${full.refused + half.refused} events were refused`);
    return {
      figures: {
        events_per_s: Math.round(eventsPerSecond),
        accept_p99_ms: round(quantile(half.latencies, 0.99)),
        accept_p50_ms: round(quantile(half.latencies, 0.5)),
        idle_mb: round(idle.residentBytes / 2 ** 20),
      },
      table: [
        ['what', 'events/s', 'accept p50', 'accept p99'],
        ['accepted, 64 producers', String(Math.round((count * 1000) / acceptedMs)), ...quantiles(full.latencies)],
        ['delivered, 202 to 2xx', String(Math.round(eventsPerSecond)), '', ''],
        ['at half that load', String(Math.round(rate)), ...quantiles(half.latencies)],
        ['memory', `${megabytes(idle)} idle`, `${megabytes(after)} after`, ''],
      ],
    };
  } finally {
    // They exit when their channel closes.
    for (const child of children) if (child.connected) child.disconnect();
    await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
    await rm(dir, { recursive: true, force: true });
  }
}

interface Load {
  count: number;
  lanes: number;
  rate?: number;
}

function load(producer: ChildProcess, asked: Load): Promise<{ latencies: number[]; refused: number }> {
  return ask(producer, asked);
}

function ask<T>(child: ChildProcess, message: object = {}): Promise<T> {
  const answer = reply<T>(child);
  child.send(message);
  return answer;
}

async function reply<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController();
  const onExit = () => ended.abort(new Error(`a process of the bench ended: ${child.spawnargs.slice(2).join(' ')}`));
  child.once('exit', onExit);
  try {
    const [message] = await once(child, 'message', { signal: ended.signal });
    return message as T;
  } finally {
    child.off('exit', onExit);
  }
}

async function until(measure: () => Promise<number>, wanted: number): Promise<void> {
  while ((await measure()) < wanted) await sleep(5);
}

function knownOf(subscriberPort: number) {
  const delivery = { retries: 3, policy: 'exponential' as const, delayMs: 100, delayMaxMs: 1000, timeoutMs: 10_000 };
  return {
    brokers: [{ namespace: 'default', name: 'bench', uid: 'bench' }],
    triggers: [
      {
        namespace: 'default',
        name: 'all',
        uid: 'all',
        broker: 'bench',
        filter: { filter: { attributes: { type: 'order.placed' } } },
        subscriber: { uri: `http://127.0.0.1:${subscriberPort}/` },
        delivery: { ...delivery, retryAfterMaxMs: 0, format: 'binary' as const },
      },
    ],
  };
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

const quantiles = (values: readonly number[]) => [0.5, 0.99].map((q) => `${round(quantile(values, q))} ms`);
const round = (value: number) => Math.round(value * 100) / 100;
const megabytes = ({ residentBytes }: { residentBytes: number }) => `${round(residentBytes / 2 ** 20)} MB`;
