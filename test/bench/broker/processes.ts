/** The processes of the broker bench, forked one each: `broker DIR`, `subscriber`, `producer PORT`. */
import { once } from 'node:events';
import { join } from 'node:path';
import { sqliteBackend } from '../../../src/eventing/backends/sqlite/sqlite-backend.ts';
import { startBroker } from '../../../src/eventing/broker/index.ts';
import type { Client, WatchOptions } from '../../../src/kube/client.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createLogger } from '../../../src/observe/log.ts';
import { Metrics } from '../../../src/observe/metrics.ts';
import { Lane, serveOk } from './raw-http.ts';

/** An API server that is away. */
const noApi = { watch: (_kind: unknown, { signal }: WatchOptions) => nothing(signal) } as unknown as Client;

const [role, argument = ''] = process.argv.slice(2);
const tell = (message: object) => process.send?.(message);
process.on('disconnect', () => process.exit());

if (role === 'broker') await runBroker(argument);
if (role === 'subscriber') await runSubscriber();
if (role === 'producer') runProducer(Number(argument));

/** Serves what `known.json` in `dir` says; there is no API server, and the broker does not need one. */
async function runBroker(dir: string): Promise<void> {
  const log = createLogger('broker', 'warn');
  const metrics = new Metrics('broker');
  const backend = sqliteBackend({ dir: join(dir, 'logs'), clock: systemClock });
  const broker = await startBroker({ client: noApi, dir, backend, port: 0, clock: systemClock, log, metrics });
  tell({ port: broker.port });
  process.on('message', () => tell({ residentBytes: process.memoryUsage.rss() }));
}

async function runSubscriber(): Promise<void> {
  let count = 0;
  const port = await serveOk(() => count++);
  tell({ port });
  process.on('message', () => tell({ count }));
}

interface Load {
  count: number;
  lanes: number;
  /** Events a second; absent: each lane sends as soon as it has its reply. */
  rate?: number;
}

/** Sends the events of each `Load` message and tells how long each took to be accepted. */
function runProducer(port: number): void {
  let serial = 0;
  process.on('message', async (load: Load) => {
    const lanes = Array.from({ length: load.lanes }, () => new Lane(port));
    const next = () => requestText(port, serial++);
    const result = load.rate === undefined ? await closedLoop(load, lanes, next) : await paced(load, lanes, next);
    for (const lane of lanes) lane.close();
    tell(result);
  });
}

function requestText(port: number, serial: number): string {
  const data = `{"order":${serial},"customer":"c-17","items":[{"sku":"feather","count":3},{"sku":"egg","count":1}]}`;
  return [
    'POST /default/bench HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    'ce-specversion: 1.0',
    `ce-id: bench-${serial}`,
    'ce-source: /bench/producer',
    'ce-type: order.placed',
    'Content-Type: application/json',
    `Content-Length: ${data.length}`,
    '',
    data,
  ].join('\r\n');
}

async function closedLoop({ count }: Load, lanes: Lane[], next: () => string) {
  const latencies: number[] = [];
  let sent = 0;
  let refused = 0;
  await Promise.all(
    lanes.map(
      (lane) =>
        new Promise<void>((resolve) => {
          const sendNext = () => {
            if (sent++ >= count) return resolve();
            const startedMs = performance.now();
            lane.send(next(), (status) => {
              latencies.push(performance.now() - startedMs);
              if (status !== 202) refused++;
              sendNext();
            });
          };
          sendNext();
        }),
    ),
  );
  return { latencies, refused };
}

/** Latencies count from when an event was due, so that a stall shows in every event that it delays. */
async function paced({ count, rate = 1 }: Load, lanes: Lane[], next: () => string) {
  const latencies: number[] = [];
  let refused = 0;
  const free = [...lanes];
  const startedMs = performance.now();
  const dueMs = (i: number) => startedMs + (i * 1000) / rate;
  let sent = 0;
  await new Promise<void>((resolve) => {
    const sendDue = () => {
      while (sent < count && dueMs(sent) <= performance.now()) {
        const lane = free.pop();
        if (!lane) return;
        const due = dueMs(sent++);
        lane.send(next(), (status) => {
          latencies.push(performance.now() - due);
          if (status !== 202) refused++;
          free.push(lane);
          if (latencies.length === count) {
            clearInterval(timer);
            resolve();
          }
        });
      }
    };
    const timer = setInterval(sendDue, 1);
  });
  return { latencies, refused };
}

async function* nothing(signal: AbortSignal): AsyncGenerator<never> {
  if (!signal.aborted) await once(signal, 'abort');
  yield* [];
}
