/**
 * A whole broker: producers post events over HTTP, a worker answers each with a reply, the replies go to a collector.
 * A reply that the collector has is out of the broker's hands; until then each event that got its 202 is owed.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startBroker } from '../../../src/eventing/broker/index.ts';
import { writeKnown } from '../../../src/eventing/broker/known.ts';
import {
  awayClient,
  delivery,
  logsIn,
  startSubscriber,
  triggerTo,
} from '../../../src/eventing/broker/testing/fixture.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { makeFolder } from '../../../src/lib/durable.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { note, promised } from '../notes.ts';

const dir = join(process.env.POWER_LOSS_ROOT ?? '', 'broker');
const open = () =>
  startBroker({ client: awayClient, dir, backend: logsIn(dir), port: 0, clock: systemClock, log: silentLogger });

if (process.argv[2] === 'open') await (await open()).stop();
else await work();

async function work(): Promise<void> {
  const worker = await startSubscriber(({ event }, count) => (count % 5 === 0 ? { status: 500 } : replyTo(event)));
  const collected = new Set<string>();
  const collector = await startSubscriber(({ event }) => {
    const id = String(event.attributes.id).replace('reply to ', '');
    note({ tried: id, value: null });
    collected.add(id);
    return {};
  });
  makeFolder(dir);
  await writeKnown(join(dir, 'known.json'), {
    brokers: [{ namespace: 'default', name: 'b', uid: 'uid-of-b' }],
    triggers: [
      triggerTo(worker.uri, {
        name: 'work',
        filter: { filters: [{ exact: { type: 'todo' } }] },
        delivery: { ...delivery, retries: 20, policy: 'linear', delayMs: 1 },
      }),
      triggerTo(collector.uri, { name: 'collect', filter: { filters: [{ exact: { type: 'done' } }] } }),
    ],
  });
  for (let session = 0; session < 2; session++) {
    const broker = await open();
    const producer = async (p: number) => {
      for (let i = 0; i < 30; i++) await post(broker.url, `${session}-${p}-${i}`);
    };
    await Promise.all(Array.from({ length: 6 }, (_, p) => producer(p)));
    // The first broker goes with work left to do, the last one when all is done.
    while (session === 1 && collected.size < 360) await pause(5);
    await broker.stop();
  }
  await Promise.all([worker.stop(), collector.stop()]);
}

function replyTo(event: { attributes: Record<string, unknown> }) {
  const id = `reply to ${event.attributes.id}`;
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/worker', 'ce-type': 'done' };
  return { headers };
}

async function post(url: string, id: string): Promise<void> {
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/power-loss', 'ce-type': 'todo' };
  await promised(id, 'owed', async () => {
    const response = await fetch(`${url}/default/b`, { method: 'POST', headers });
    await response.arrayBuffer();
    if (response.status !== 202) throw new Error(`${id} was answered ${response.status}`);
  });
}
