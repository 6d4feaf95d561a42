import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LeaseKind } from '../../api/coordination/lease.ts';
import { NodeKind } from '../../api/core/node.ts';
import type { Client } from '../../kube/client.ts';
import { systemClock } from '../../lib/clock.ts';
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

  const register = (client: Client, clock: VirtualClock) =>
    registerNode({ podsMax: 500, client, clock, log: silentLogger, nodeName: 'local', address: '127.0.0.1', driver });
  const isReady = async () => {
    const found = await api.client.get(NodeKind, { name: 'local' });
    return found?.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True';
  };
  /** One heartbeat, with what it writes. */
  async function beat(clock: VirtualClock, until: () => Promise<boolean>): Promise<void> {
    await clock.advance(10_000);
    for (let tries = 0; !(await until()); tries++) {
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
