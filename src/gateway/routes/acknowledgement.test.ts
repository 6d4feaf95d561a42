import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ensureNamespace, openWorld, type World } from '../../../test/world.ts';
import { type Lease, LeaseKind } from '../../api/coordination/lease.ts';
import { gatewayLeaseNamespace, gatewayStateOf } from '../../api/networking/gateway-lease.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import { Acknowledgement } from './acknowledgement.ts';

const key = { namespace: gatewayLeaseNamespace, name: 'g' };

describe('what a gateway says of itself', () => {
  async function open(test: (world: World, clock: VirtualClock) => Promise<void>, namespaces?: string[]) {
    const world = await openWorld(namespaces === undefined ? {} : { namespaces });
    try {
      await test(world, new VirtualClock());
    } finally {
      await world.stop();
    }
  }
  const gatewayOf = ({ client }: World, clock: VirtualClock, holder: string) => {
    const served: { version?: string } = {};
    const options = { client, clock, log: silentLogger, name: 'g', holder, servedVersion: () => served.version };
    return { served, acknowledgement: new Acknowledgement(options) };
  };
  const stateOf = (lease: Lease | undefined, clock: VirtualClock) => lease && gatewayStateOf(lease, clock.now());
  const until = (world: World, isAsExpected: (lease: Lease | undefined) => unknown) =>
    world.until(LeaseKind, key, isAsExpected);

  it('is that it is up before it has any route, then what it has, and in the end nothing', () =>
    open(async (world, clock) => {
      const { served, acknowledgement } = gatewayOf(world, clock, 'a');
      await acknowledgement.claim();
      const claimed = await world.client.get(LeaseKind, key);
      assert.deepEqual(stateOf(claimed, clock), { name: 'g', isUp: true, servedVersion: undefined });
      served.version = '7';
      acknowledgement.write();
      served.version = '12';
      acknowledgement.write();
      await until(world, (lease) => stateOf(lease, clock)?.servedVersion === 12n);
      await acknowledgement.stop();
      assert.equal(await world.client.get(LeaseKind, key), undefined);
    }));

  it('is renewed while it is up, with what it has by then, and stands for down when it is not', () =>
    open(async (world, clock) => {
      const { served, acknowledgement } = gatewayOf(world, clock, 'a');
      await acknowledgement.claim();
      served.version = '3';
      await clock.advance(5_000);
      const renewed = await until(world, (lease) => stateOf(lease, clock)?.servedVersion === 3n);
      assert.equal(gatewayStateOf(renewed as Lease, clock.now() + 14_000).isUp, true);
      assert.equal(gatewayStateOf(renewed as Lease, clock.now() + 15_000).isUp, false);
      await acknowledgement.stop();
    }));

  it('is said by a successor of the same name from when it claims it, and no more by the predecessor', () =>
    open(async (world, clock) => {
      const before = gatewayOf(world, clock, 'a');
      before.served.version = '5';
      await before.acknowledgement.claim();
      const after = gatewayOf(world, clock, 'b');
      await after.acknowledgement.claim();
      const claimed = await world.client.get(LeaseKind, key);
      assert.equal(stateOf(claimed, clock)?.servedVersion, undefined, 'the successor has nothing yet');
      before.served.version = '9';
      before.acknowledgement.write();
      await before.acknowledgement.stop();
      const left = await world.client.get(LeaseKind, key);
      assert.equal(left?.spec?.holderIdentity, 'b');
      assert.equal(stateOf(left, clock)?.servedVersion, undefined);
      await after.acknowledgement.stop();
      assert.equal(await world.client.get(LeaseKind, key), undefined);
    }));

  it('is written again after somebody else has changed or deleted it', () =>
    open(async (world, clock) => {
      const { served, acknowledgement } = gatewayOf(world, clock, 'a');
      await acknowledgement.claim();
      await world.client.patch(LeaseKind, key, { type: 'merge', patch: { metadata: { labels: { a: 'b' } } } });
      served.version = '1';
      acknowledgement.write();
      await until(world, (lease) => stateOf(lease, clock)?.servedVersion === 1n);
      await world.client.delete(LeaseKind, key);
      served.version = '2';
      acknowledgement.write();
      await until(world, (lease) => stateOf(lease, clock)?.servedVersion === 2n);
      await acknowledgement.stop();
    }));

  it('holds up nothing where it is refused, and is said as soon as it is not', () =>
    open(async (world, clock) => {
      const { acknowledgement } = gatewayOf(world, clock, 'a');
      await acknowledgement.claim();
      assert.equal(await world.client.get(LeaseKind, key), undefined);
      await ensureNamespace(world.client, gatewayLeaseNamespace);
      await clock.advance(5_000);
      await until(world, Boolean);
      await acknowledgement.stop();
    }, []));
});
