import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LeaseKind } from '../../api/coordination/lease.ts';
import { NodeKind } from '../../api/core/node.ts';
import { ApiError } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
import { until } from '../../lib/testing/until.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { type ApiServer, openApiServer } from '../apiserver/index.ts';
import type { Driver } from './driver.ts';
import { registerNode } from './node-object.ts';

const lease = { namespace: 'kube-node-lease', name: 'local' };

describe('the Node object', () => {
  let dir: string;
  let api: ApiServer;
  const driver = { name: 'process' } as Driver;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-node-object-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
  });
  after(async () => {
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Returns what ends it. */
  async function register(client: Client, clock: VirtualClock): Promise<() => void> {
    const stopping = new AbortController();
    const { signal } = stopping;
    const options = {
      dataDir: dir,
      podsMax: 500,
      client,
      clock,
      log: silentLogger,
      nodeName: 'local',
      address: '127.0.0.1',
      driver,
    };
    await registerNode({ ...options, signal });
    return () => stopping.abort();
  }
  const isReady = async () => {
    const found = await api.client.get(NodeKind, { name: 'local' });
    return found?.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True';
  };
  /** One heartbeat, with what it writes. */
  async function beat(clock: VirtualClock, isDone: () => Promise<boolean>): Promise<void> {
    await clock.advance(10_000);
    for (let tries = 0; !(await isDone()); tries++) {
      assert.ok(tries < 1_000, 'the heartbeat did not do it');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  test('a Node that was deleted is registered again with the next heartbeat, as is its lease', async () => {
    const clock = new VirtualClock();
    const end = await register(api.client, clock);
    assert.equal(await isReady(), true);
    const before = (await api.client.get(NodeKind, { name: 'local' }))?.metadata.uid;
    await api.client.delete(NodeKind, { name: 'local' });
    await api.client.delete(LeaseKind, lease);
    assert.equal(await isReady(), false);
    await beat(clock, async () => (await isReady()) && (await api.client.get(LeaseKind, lease)) !== undefined);
    assert.notEqual((await api.client.get(NodeKind, { name: 'local' }))?.metadata.uid, before);
    end();
  });

  test('an API that fails at first is asked again with each heartbeat', async () => {
    await api.client.delete(NodeKind, { name: 'local' });
    let isBroken = true;
    const failing: Client = Object.create(api.client, {
      create: {
        value: (...args: Parameters<Client['create']>) => {
          if (isBroken) throw new Error('the API is busy');
          return api.client.create(...args);
        },
      },
    });
    const clock = new VirtualClock();
    const end = await register(failing, clock);
    await clock.advance(10_000);
    assert.equal(await isReady(), false);
    isBroken = false;
    await beat(clock, isReady);
    end();
  });

  /** Says to each write of the Node that somebody else was faster. */
  function contested(): { client: Client; writes: number[] } {
    const writes = [0];
    const update = async () => {
      writes[0] = (writes[0] ?? 0) + 1;
      throw new ApiError(409, 'Conflict', 'somebody else was faster');
    };
    return { client: Object.create(api.client, { create: { value: update }, update: { value: update } }), writes };
  }

  test('a Node that is never to be had is left to the next heartbeat', async () => {
    const { client, writes } = contested();
    const clock = new VirtualClock();
    const registered = register(client, clock);
    let isOver = false;
    void registered.then(() => {
      isOver = true;
    });
    for (let tries = 0; !isOver; tries++) {
      assert.ok(tries < 1_000, 'it goes on asking');
      await clock.advance(5);
    }
    const first = writes[0] ?? 0;
    assert.ok(first > 1, 'a conflict is no reason to wait for the next heartbeat');
    await clock.advance(10_000);
    await until(() => (writes[0] ?? 0) > first);
    (await registered)();
  });

  test('who stops waits for no Node that is never to be had', async () => {
    const stopping = new AbortController();
    const { client, writes } = contested();
    const registering = registerNode({
      ...{ dataDir: dir, podsMax: 500, client, clock: new VirtualClock(), log: silentLogger, nodeName: 'local' },
      ...{ address: '127.0.0.1', driver, signal: stopping.signal },
    });
    await until(() => writes[0] === 1);
    stopping.abort();
    await registering;
    assert.equal(writes[0], 1);
  });

  test('what a user says of the Node stays: labels, and that nothing new goes there', async () => {
    const clock = new VirtualClock();
    const end = await register(api.client, clock);
    const found = await api.client.get(NodeKind, { name: 'local' });
    assert.ok(found);
    const labels = { ...found.metadata.labels, mine: 'kept' };
    await api.client.update(NodeKind, {
      ...found,
      metadata: { ...found.metadata, labels },
      spec: { unschedulable: true },
    });
    end();
    const again = await register(api.client, clock);
    const now = await api.client.get(NodeKind, { name: 'local' });
    assert.deepEqual([now?.metadata.labels?.mine, now?.spec?.unschedulable], ['kept', true]);
    again();
  });
});
