import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openWorld, type World } from '../../test/world.ts';
import { LeaseKind } from '../api/coordination/lease.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import type { Kind } from '../api/kind.ts';
import { ApiError } from '../api/status.ts';
import type { Clock } from '../lib/clock.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import type { Client } from './client.ts';
import { electLeader, type LeaderElection, NotLeader } from './leader-election.ts';
import type { Controller } from './reconciler.ts';
import { runControllers } from './runner.ts';

describe('of several candidates', () => {
  let world: World;
  let leases = 0;
  before(async () => {
    world = await openWorld({ kinds: [] });
  });
  after(() => world.stop());

  /** Candidates for one Lease, on one clock that only the test moves. */
  function candidates() {
    const clock = new VirtualClock();
    const lease = { namespace: 'default', name: `leader-${++leases}` };
    const log: string[] = [];
    let pending = 0;
    const elections: LeaderElection[] = [];
    const leading = new Map<string, { client: Client }>();

    const lineOf = (cut: { isCut: boolean }): Client => {
      const call = async <T>(request: () => Promise<T>): Promise<T> => {
        if (cut.isCut) throw new ApiError(503, 'ServiceUnavailable', 'the line is cut');
        pending++;
        try {
          return await request();
        } finally {
          pending--;
        }
      };
      const { client } = world;
      return {
        ...client,
        get: (...given) => call(() => client.get(...given)),
        create: (...given) => call(() => client.create(...given)),
        update: (...given) => call(() => client.update(...given)),
      };
    };
    return {
      clock,
      lease,
      log,
      leading,
      run(identity: string, own: Clock = clock, cut = { isCut: false }) {
        const election = electLeader({
          client: lineOf(cut),
          clock: own,
          log: silentLogger,
          lease,
          identity,
          async lead(client) {
            log.push(`${identity} leads`);
            leading.set(identity, { client });
            return {
              async stop() {
                leading.delete(identity);
                log.push(`${identity} ends`);
              },
            };
          },
        });
        elections.push(election);
        return election;
      },
      /** Lets time go by in steps, with all that follows from each. */
      async pass(seconds: number) {
        for (let i = 0; i < seconds * 4; i++) {
          await clock.advance(250);
          do await setImmediate();
          while (pending > 0);
        }
      },
      async stop() {
        await Promise.all(elections.map((election) => election.stop()));
      },
    };
  }

  test('one leads, and gives way to another when it stops', async (t) => {
    const { pass, run, log, leading, lease, stop } = candidates();
    t.after(stop);
    const first = run('first');
    await pass(1);
    const second = run('second');
    await pass(30);
    assert.deepEqual(log, ['first leads']);
    assert.deepEqual([first.isLeading, second.isLeading], [true, false]);
    const held = await world.client.get(LeaseKind, lease);
    assert.equal(held?.spec?.holderIdentity, 'first');
    assert.equal(held?.spec?.leaseDurationSeconds, 15);
    assert.match(held?.spec?.renewTime ?? '', /\.\d{6}Z$/);
    const client = leading.get('first')?.client;
    await first.stop();
    assert.equal(first.isLeading, false);
    await assert.rejects(async () => await client?.create(ConfigMapKind, configMap('late')), NotLeader);
    assert.equal((await world.client.get(LeaseKind, lease))?.spec?.holderIdentity, '');
    await pass(3);
    assert.deepEqual(log, ['first leads', 'first ends', 'second leads']);
    assert.equal((await world.client.get(LeaseKind, lease))?.spec?.leaseTransitions, 1);
  });

  test('one that reaches the server no more ends before another takes over', async (t) => {
    const { pass, run, log, clock, stop } = candidates();
    const cut = { isCut: false };
    t.after(async () => {
      cut.isCut = false;
      await stop();
    });
    run('first', clock, cut);
    await pass(1);
    run('second');
    await pass(4);
    cut.isCut = true;
    await pass(9);
    assert.deepEqual(log, ['first leads']);
    await pass(4);
    assert.deepEqual(log, ['first leads', 'first ends']);
    await pass(8);
    assert.deepEqual(log, ['first leads', 'first ends', 'second leads']);
    cut.isCut = false;
    await pass(20);
    assert.equal(log.length, 3, 'who comes back finds another');
  });

  test('one that could not begin leaves it to another', async (t) => {
    const { pass, run, log, lease, clock, stop } = candidates();
    t.after(stop);
    let tries = 0;
    const options = { client: world.client, clock, log: silentLogger, lease, identity: 'broken' };
    const broken = electLeader({
      ...options,
      async lead() {
        tries++;
        throw new Error('no');
      },
    });
    t.after(() => broken.stop());
    while (tries === 0) await pass(1);
    run('sound');
    while (log.length === 0) await pass(1);
    assert.deepEqual(log, ['sound leads']);
  });

  test('one that was paused writes nothing after its time, and its controllers stop', async (t) => {
    const { pass, run, log, leading, clock, stop } = candidates();
    t.after(stop);
    const paused = pausable(clock);
    const first = run('first', paused);
    await pass(1);
    const client = leading.get('first')?.client;
    assert.ok(client);
    // A reconcile that the pause meets between its reading and its writing.
    const gate = Promise.withResolvers<void>();
    const tried = Promise.withResolvers<unknown>();
    let hasBegun = false;
    const writer: Controller<ConfigMap> = {
      name: 'writer',
      kind: ConfigMapKind,
      async reconcile(object, context) {
        if (object.metadata.name !== 'subject') return;
        hasBegun = true;
        await gate.promise;
        await context.client
          .update(ConfigMapKind, { ...object, data: { by: 'first' } })
          .then(tried.resolve, tried.resolve);
      },
    };
    const controllers = await runControllers([writer as Controller], { client, clock: paused, log: silentLogger });
    t.after(() => controllers.stop());
    const subject = await world.client.create(ConfigMapKind, configMap('subject'));
    while (!hasBegun) await setImmediate();

    paused.pause();
    run('second');
    await pass(20);
    assert.deepEqual(log, ['first leads', 'second leads']);
    assert.equal(first.isLeading, false);
    await leading.get('second')?.client.update(ConfigMapKind, { ...subject, data: { by: 'second' } });
    gate.resolve();
    assert.ok((await tried.promise) instanceof NotLeader);
    paused.resume();
    await pass(1);
    assert.deepEqual(log, ['first leads', 'second leads', 'first ends']);
    const key = { namespace: 'default', name: 'subject' };
    assert.deepEqual((await world.client.get(ConfigMapKind as Kind<ConfigMap>, key))?.data, { by: 'second' });
  });

  test('one that sees the Lease in other hands writes nothing from then on, and ends at once', async (t) => {
    const { pass, run, log, leading, lease, stop } = candidates();
    t.after(stop);
    run('first');
    await pass(1);
    const client = leading.get('first')?.client;
    assert.ok(client);
    const held = await world.client.get(LeaseKind, lease);
    assert.ok(held?.spec);
    await world.client.update(LeaseKind, { ...held, spec: { ...held.spec, holderIdentity: 'somebody else' } });
    await pass(3);
    assert.deepEqual(log, ['first leads', 'first ends']);
    const key = { namespace: 'default', name: 'late' };
    const late = configMap('late');
    const writes: Record<Exclude<keyof Client, 'get' | 'list' | 'watch' | 'kindOf'>, () => Promise<unknown>> = {
      create: () => client.create(ConfigMapKind, late),
      createOn: () => client.createOn(ConfigMapKind as Kind, key, 'status', late),
      update: () => client.update(ConfigMapKind, late),
      patch: () => client.patch(ConfigMapKind, key, { type: 'merge', patch: {} }),
      scale: () => client.scale(ConfigMapKind as Kind, key, 1),
      delete: () => client.delete(ConfigMapKind as Kind, key),
    };
    for (const [name, write] of Object.entries(writes)) await assert.rejects(write(), NotLeader, name);
    assert.equal(await client.get(ConfigMapKind, key), undefined);
  });
});

const configMap = (name: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
});

/** A process that can be stopped: time goes by, and its timers wait until it goes on. */
function pausable(clock: Clock): Clock & { pause(): void; resume(): void } {
  let held: (() => void)[] | undefined;
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, task) => clock.after(delayMs, () => (held ? held.push(task) : task())),
    pause() {
      held = [];
    },
    resume() {
      const tasks = held ?? [];
      held = undefined;
      for (const task of tasks) task();
    },
  };
}
