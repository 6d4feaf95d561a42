import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { type CoreEvent, EventKind } from '../../api/core/event.ts';
import type { Pod } from '../../api/core/pod.ts';
import type { Client } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { type ApiServer, openApiServer } from '../apiserver/index.ts';
import { EventRecorder } from './events.ts';
import { ensureDefaultNamespace } from './testing/test-node.ts';

describe('the event recorder', () => {
  let dir: string;
  let api: ApiServer;
  let clock: VirtualClock;
  let recorder: EventRecorder;
  let pods = 0;
  let pod: Pod;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-events-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
    await ensureDefaultNamespace(api.client);
  });
  after(async () => {
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  beforeEach(() => {
    clock = new VirtualClock(Date.now());
    const name = `p${pods++}`;
    pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', uid: name },
      spec: { containers: [] },
    };
    recorder = open();
  });
  afterEach(() => recorder.close());

  const open = (client = api.client) => new EventRecorder({ client, clock, log: silentLogger, nodeName: 'local' });

  const stored = async (name = pod.metadata.name): Promise<CoreEvent[]> => {
    const { items } = await api.client.list(EventKind, { namespace: 'default' });
    return items.filter((event) => event.involvedObject.name === name);
  };
  const said = async () => (await stored()).map((event) => `${event.reason} ${event.message} ${event.count}`).sort();
  /** Lets the recorder write what waits. */
  async function settle(): Promise<void> {
    await clock.advance(250);
    await recorder.idle();
  }

  test('what is recorded is written once for all repetitions, with their number', async () => {
    for (const message of ['a', 'b', 'a']) recorder.record(pod, 'Normal', 'Pulled', message);
    await settle();
    recorder.record(pod, 'Normal', 'Pulled', 'a');
    await settle();
    assert.deepEqual(await said(), ['Pulled a 3', 'Pulled b 1']);
  });

  test('what is recorded while others are written is written, too, and one that is refused holds up none', async () => {
    const create: Client['create'] = async (kind, object) => {
      const { reason } = object as unknown as CoreEvent;
      if (reason === 'First') recorder.record(pod, 'Normal', 'Meanwhile', 'm');
      if (reason === 'Refused') throw new Error('the API is busy');
      return api.client.create(kind, object);
    };
    recorder = open({ ...api.client, create });
    for (const reason of ['First', 'Refused', 'Third']) recorder.record(pod, 'Normal', reason, 'm');
    await settle();
    await settle();
    assert.deepEqual(await said(), ['First m 1', 'Meanwhile m 1', 'Third m 1']);
    recorder.record(pod, 'Normal', 'After', 'm');
    await settle();
    assert.equal((await said())[0], 'After m 1');
  });

  test('a repetition of an event that somebody deleted is written as a new one', async () => {
    recorder.record(pod, 'Normal', 'Pulled', 'a');
    await settle();
    for (const { metadata } of await stored()) {
      await api.client.delete(EventKind, { namespace: 'default', name: metadata.name });
    }
    recorder.record(pod, 'Normal', 'Pulled', 'a');
    await settle();
    assert.deepEqual(await said(), ['Pulled a 1']);
  });

  test('a pod whose name leaves no room for a suffix has events too', async () => {
    pod.metadata.name = `${'long.'.repeat(47)}x`;
    recorder.record(pod, 'Normal', 'Pulled', 'a');
    await settle();
    assert.deepEqual(await said(), ['Pulled a 1']);
  });

  test('one pod may say 25 things at once, then one more each five minutes', async () => {
    for (let i = 0; i < 40; i++) recorder.record(pod, 'Normal', 'Pulled', String(i));
    await settle();
    assert.equal((await stored()).length, 25);
    await clock.advance(300_000);
    for (let i = 40; i < 50; i++) recorder.record(pod, 'Normal', 'Pulled', String(i));
    await settle();
    assert.equal((await stored()).length, 26);
  });

  test('what an earlier agent said already is counted up, too', async () => {
    recorder.record(pod, 'Normal', 'Old', 'old');
    await settle();
    await recorder.close();
    recorder = open();
    recorder.record(pod, 'Normal', 'Old', 'old');
    await settle();
    assert.deepEqual(await said(), ['Old old 2']);
  });
});
