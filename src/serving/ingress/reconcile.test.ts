import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openWorld, type World } from '../../../test/world.ts';
import { LeaseKind } from '../../api/coordination/lease.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { conditionOf } from '../../api/meta.ts';
import { gatewayLeaseNamespace, makeGatewayLease } from '../../api/networking/gateway-lease.ts';
import { type Ingress, IngressKind } from '../../api/networking/ingress.ts';
import { systemClock } from '../../lib/clock.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { isReady } from '../ready.ts';
import { gatewayLeaseController, gatewayLeaseKeptMs } from './gateway-leases.ts';
import { ingressController } from './reconcile.ts';

const key = { namespace: 'default', name: 'i' };
const splits = [{ serviceNamespace: 'default', serviceName: 's', servicePort: 80, percent: 100 }];

describe('an Ingress is ready', () => {
  async function open(test: (world: World) => Promise<void>) {
    const world = await openWorld({ controllers: [ingressController()] });
    try {
      await test(world);
    } finally {
      await world.stop();
    }
  }
  /** A gateway says that it has the routes up to `version`. */
  async function say({ client }: World, name: string, version: string | undefined, agoMs = 0) {
    const lease = makeGatewayLease(name, name, version, systemClock.now() - agoMs);
    const known = await client.get(LeaseKind, { namespace: gatewayLeaseNamespace, name });
    if (!known) return await client.create(LeaseKind, lease);
    return await client.update(LeaseKind, { ...lease, metadata: { ...known.metadata, ...lease.metadata } });
  }
  const create = ({ client }: World, name = 'i') =>
    client.create(IngressKind, {
      apiVersion: apiVersionOf(IngressKind),
      kind: 'Ingress',
      metadata: { name, namespace: 'default' },
      spec: { rules: [{ hosts: [name], http: { paths: [{ splits }] } }] },
    });
  const until = (world: World, isAsExpected: (ingress: Ingress) => unknown, name = 'i') =>
    world.until(IngressKind, { ...key, name }, (ingress) => ingress !== undefined && isAsExpected(ingress));
  const loadBalancerOf = (ingress: Ingress | undefined) => ingress && conditionOf(ingress, 'LoadBalancerReady');
  const versionIn = (ingress: Ingress | undefined) => ingress?.metadata.resourceVersion ?? '';

  it('once every gateway that is up has its newest routes, and says meanwhile who has not', () =>
    open(async (world) => {
      await say(world, 'fast', '1');
      await say(world, 'slow', undefined);
      const created = await create(world);
      await say(world, 'fast', versionIn(created));
      const waiting = await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewaysBehind');
      assert.equal(loadBalancerOf(waiting)?.message, 'waiting for slow to load the routes');
      assert.equal(conditionOf(waiting as Ingress, 'Ready')?.status, 'Unknown');
      // The version of the routes is enough: what was written to the status meanwhile is newer.
      await say(world, 'slow', versionIn(created));
      const ready = await until(world, isReady);
      assert.equal(loadBalancerOf(ready)?.reason, undefined);

      const changed = structuredClone(ready) as Ingress;
      changed.spec.rules?.[0]?.hosts?.push('another');
      const { metadata } = await world.client.update(IngressKind, changed);
      await say(world, 'slow', metadata.resourceVersion);
      const again = await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewaysBehind');
      assert.equal(loadBalancerOf(again)?.message, 'waiting for fast to load the routes');
      await say(world, 'fast', metadata.resourceVersion);
      await until(world, isReady);
    }));

  it('without a gateway that was not heard of for long, or with none at all, and says so', () =>
    open(async (world) => {
      await create(world, 'first');
      const alone = await until(world, isReady, 'first');
      assert.equal(loadBalancerOf(alone)?.reason, 'NoGateway');
      await say(world, 'gone', '1', 15_000);
      await say(world, 'here', String(Number.MAX_SAFE_INTEGER));
      await create(world);
      const ready = await until(world, isReady);
      const { reason, message = '' } = loadBalancerOf(ready) ?? {};
      assert.equal(reason, 'GatewayDown');
      assert.match(message, /^gone was not heard of/);
    }));

  it('and says no longer that a gateway was away once that is over, nor that it waits for one', () =>
    open(async (world) => {
      await create(world);
      await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'NoGateway');
      await say(world, 'gone', '1', 15_000);
      await say(world, 'late', undefined);
      await create(world, 'other');
      await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewaysBehind', 'other');
      const ready = await until(world, isReady);
      assert.equal(loadBalancerOf(ready)?.reason, 'NoGateway', 'it is ready, and waits for nobody');
      await say(world, 'late', String(Number.MAX_SAFE_INTEGER));
      await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewayDown');
      await say(world, 'gone', String(Number.MAX_SAFE_INTEGER));
      const told = await until(world, (ingress) => loadBalancerOf(ingress)?.reason === undefined);
      assert.ok(isReady(told as Ingress));
      await until(world, (ingress) => loadBalancerOf(ingress)?.reason === undefined && isReady(ingress), 'other');
    }));

  it('whatever a Lease says of a time to come: its gateway had a clock that was wrong, and may be gone', () =>
    open(async (world) => {
      const anHourMs = 3_600_000;
      await say(world, 'ahead', undefined, -anHourMs);
      const long = makeGatewayLease('long', 'long', undefined, systemClock.now() - anHourMs);
      await world.client.create(LeaseKind, { ...long, spec: { ...long.spec, leaseDurationSeconds: 2 ** 31 - 1 } });
      await create(world);
      const ready = await until(world, isReady);
      assert.equal(loadBalancerOf(ready)?.reason, 'NoGateway');
    }));

  it('whatever a Lease says that is no gateway: another namespace has no say', () =>
    open(async (world) => {
      const lease = makeGatewayLease('stranger', 'stranger', undefined, systemClock.now());
      await world.client.create(LeaseKind, { ...lease, metadata: { ...lease.metadata, namespace: 'default' } });
      await create(world);
      await until(world, isReady);
    }));

  it('anew after it was deleted and made again: what gateways had of the former does not count', () =>
    open(async (world) => {
      await say(world, 'g', '1');
      const former = await create(world);
      await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewaysBehind');
      await world.client.delete(IngressKind, key);
      const created = await create(world);
      await say(world, 'g', versionIn(former));
      const waiting = await until(world, (ingress) => loadBalancerOf(ingress)?.reason === 'GatewaysBehind');
      assert.equal(waiting?.metadata.uid, created.metadata.uid);
      await say(world, 'g', versionIn(created));
      await until(world, isReady);
    }));
});

describe('the Lease of a gateway', () => {
  it('is collected when nobody has renewed it for long, and no other Lease is', async (t) => {
    const clock = new VirtualClock(Date.parse('2026-11-26T12:00:00Z'));
    const world = await openWorld({ controllers: [gatewayLeaseController()], clock });
    t.after(() => world.stop());
    const { client } = world;
    const leaseOf = (name: string, agoMs: number) => makeGatewayLease(name, name, '1', clock.now() - agoMs);
    const longAgoMs = 10 * gatewayLeaseKeptMs;
    const old = leaseOf('gone', longAgoMs);
    await client.create(LeaseKind, { ...old, metadata: { ...old.metadata, namespace: 'default' } });
    await client.create(LeaseKind, { ...old, metadata: { ...old.metadata, name: 'unlabelled', labels: {} } });
    await client.create(LeaseKind, leaseOf('gone', gatewayLeaseKeptMs + 14_000));
    await client.create(LeaseKind, leaseOf('stays', 0));
    await client.create(LeaseKind, leaseOf('ahead', -longAgoMs));
    await client.create(LeaseKind, leaseOf('last', longAgoMs));
    const left = async () => (await client.list(LeaseKind)).items.map(({ metadata }) => metadata.name).sort();
    const inOurs = (name: string) => ({ namespace: gatewayLeaseNamespace, name });
    for (const name of ['last', 'ahead']) await world.until(LeaseKind, inOurs(name), (lease) => lease === undefined);
    assert.deepEqual(await left(), ['gone', 'gone', 'stays', 'unlabelled']);
    for (let seconds = 0; seconds < 10; seconds++) {
      await clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await world.until(LeaseKind, inOurs('gone'), (lease) => lease === undefined);
    assert.deepEqual(await left(), ['gone', 'stays', 'unlabelled']);
  });
});
