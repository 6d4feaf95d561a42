/** The garbage collector, told by the test what is there and gone: it may be behind of what the API says, or ahead. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { ensureNamespace, openWorld, type World } from '../../../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { type Node, NodeKind } from '../../../api/core/node.ts';
import { type KubeObject, keyText, type OwnerReference } from '../../../api/meta.ts';
import { conflict, notFound } from '../../../api/status.ts';
import type { Client } from '../../../kube/client.ts';
import type { Cache } from '../../../kube/reconciler.ts';
import { Quarantine } from '../../../lib/quarantine.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { GarbageCollector } from './collector.ts';

describe('the garbage collector', () => {
  let world: World;
  let namespaces = 0;
  let namespace = '';
  /** What it asked the API to change, in order. */
  let changes: string[] = [];
  /** Where it looked. */
  let keys: string[] = [];
  /** Throws what the API is to answer to the next calls, if anything. */
  let answer: (call: string) => unknown = () => {};
  let lines: { level: string; fields: { retryInMs?: number } }[] = [];
  let pending = 0;
  let clock: VirtualClock;
  let stop: AbortController;

  before(async () => {
    world = await openWorld();
  });
  after(() => world.stop());
  beforeEach(async () => {
    namespace = `steps-${++namespaces}`;
    await ensureNamespace(world.client, namespace);
    [changes, keys, lines, answer] = [[], [], [], () => {}];
    [clock, stop] = [new VirtualClock(), new AbortController()];
  });
  afterEach(() => stop.abort());

  async function calling<T>(call: string, work: () => Promise<T>): Promise<T> {
    pending++;
    try {
      await answer(call);
      return await work();
    } finally {
      pending--;
    }
  }

  function collector(quarantine = new Quarantine()): GarbageCollector {
    const { client } = world;
    const recorded: Pick<Client, 'get' | 'update' | 'delete' | 'kindOf'> = {
      kindOf: client.kindOf,
      get: (kind, key) => {
        keys.push(keyText(key));
        return calling('get', () => client.get(kind, key));
      },
      update: (kind, object) => {
        const owners = object.metadata.ownerReferences?.map(({ name }) => name) ?? [];
        changes.push(`update ${object.metadata.name} of ${owners.join(' and ')}`);
        return calling('update', () => client.update(kind, object));
      },
      delete: (kind, key, options) => {
        changes.push(`delete ${key.name} ${options?.propagationPolicy}`);
        return calling('delete', () => client.delete(kind, key, options));
      },
    };
    const line = (level: string) => (fields: object) => lines.push({ level, fields });
    return new GarbageCollector({
      client: recorded as Client,
      kind: ConfigMapKind,
      cache: { list: () => [] } as unknown as Cache,
      config: () => ({}),
      clock,
      log: { ...silentLogger, debug: line('debug'), warn: line('warn'), error: line('error') },
      signal: stop.signal,
      again() {},
      follow: () => () => {},
      quarantine,
    });
  }

  /** Until it asks nothing of the API for some turns. */
  async function settled(): Promise<void> {
    for (let quiet = 0; quiet < 5; quiet = pending === 0 ? quiet + 1 : 0) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  const reference = ({ kind, metadata: { name, uid = '' } }: KubeObject): OwnerReference => ({
    apiVersion: 'v1',
    kind,
    name,
    uid,
    blockOwnerDeletion: true,
  });
  const absent = (name: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, uid: `uid-of-${name}` },
  });
  const create = (name: string, owners: KubeObject[] = [], finalizers: string[] = []) =>
    world.client.create<ConfigMap>(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, finalizers, ownerReferences: owners.map(reference) },
    });
  const stored = async ({ metadata: { name } }: KubeObject) => {
    const object = await world.client.get(ConfigMapKind, { namespace, name });
    assert.ok(object, `${name} is not there`);
    return object;
  };
  /** The object as it is after a deletion that waits. */
  const deleting = async (object: ConfigMap, propagationPolicy: 'Foreground' | 'Background' | 'Orphan') => {
    await world.client.delete(ConfigMapKind, { namespace, name: object.metadata.name }, { propagationPolicy });
    return await stored(object);
  };
  const messages = () => lines.map(({ level }) => level);

  for (const [what, isWaiting, hasDependents, policy] of [
    ['whose owner is gone', false, false, 'Background'],
    ['whose owner is gone, and that owns another', false, true, 'Background'],
    ['whose owner waits for it', true, false, 'Background'],
    ['whose owner waits for it, and that owns another', true, true, 'Foreground'],
  ] as const) {
    for (const isOwnerSeen of isWaiting ? [true, false] : [false]) {
      test(`an object ${what} goes in the ${policy}${isOwnerSeen ? ', its owner being seen' : ''}`, async () => {
        const owner = isWaiting ? await create('owner', [], ['example.com/mine']) : absent('owner');
        const child = await create('child', [owner]);
        const gc = collector();
        if (isWaiting) {
          const waiting = await deleting(owner as ConfigMap, 'Foreground');
          if (isOwnerSeen) gc.observe(ConfigMapKind, waiting);
        }
        if (hasDependents) gc.observe(ConfigMapKind, await create('grandchild', [child]));
        changes = [];
        gc.observe(ConfigMapKind, child);
        await settled();
        assert.ok(changes.includes(`delete child ${policy}`), changes.join());
      });
    }
  }

  test('an owner that is deleted otherwise than in the foreground is an owner while it is there', async () => {
    const owner = await create('owner', [], ['example.com/mine']);
    const child = await create('child', [owner]);
    await deleting(owner, 'Background');
    collector().observe(ConfigMapKind, child);
    await settled();
    assert.deepEqual(changes, []);
  });

  test('an owner of a kind that is not known may come back', async () => {
    const owner = { ...absent('owner'), kind: 'Unheard' };
    collector().observe(ConfigMapKind, await create('child', [owner]));
    await settled();
    assert.deepEqual([changes, messages()], [[], []]);
  });

  test('an owner without a namespace is looked for without one', async () => {
    const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${namespace}` } };
    const owner = await world.client.create(NodeKind, node);
    const child = await create('child', [owner]);
    collector().observe(ConfigMapKind, child);
    await settled();
    assert.deepEqual([keys, changes], [[`${namespace}/child`, node.metadata.name], []]);
  });

  for (const [what, isHeld, chain] of [
    [
      'owned by nobody',
      true,
      async (gc: GarbageCollector) => {
        const owner = await create('owner');
        gc.observe(ConfigMapKind, owner);
        return owner;
      },
    ],
    ['not seen yet', true, () => create('owner')],
    [
      'in a circle that nobody holds',
      false,
      async (gc: GarbageCollector) => {
        const one = await create('one');
        const two = await create('two', [one]);
        const owner = await world.client.update(ConfigMapKind, {
          ...one,
          metadata: { ...one.metadata, ownerReferences: [reference(two)] },
        });
        for (const object of [two, owner]) gc.observe(ConfigMapKind, object);
        return owner;
      },
    ],
    [
      'owned by one that is gone and still seen',
      false,
      async (gc: GarbageCollector) => {
        gc.observe(ConfigMapKind, absent('top'));
        const owner = await create('owner', [absent('top')], ['example.com/mine']);
        gc.observe(ConfigMapKind, owner);
        return owner;
      },
    ],
    [
      'owned by one whose name another has taken',
      false,
      async (gc: GarbageCollector) => {
        gc.observe(ConfigMapKind, absent('top'));
        await create('top');
        const owner = await create('owner', [absent('top')], ['example.com/mine']);
        gc.observe(ConfigMapKind, owner);
        return owner;
      },
    ],
    [
      'owned by one that waits for it',
      false,
      async (gc: GarbageCollector) => {
        const top = await create('top', [], ['example.com/mine']);
        const owner = await create('owner', [top], ['example.com/mine']);
        for (const object of [await deleting(top, 'Foreground'), owner]) gc.observe(ConfigMapKind, object);
        return owner;
      },
    ],
    [
      'owned by one that is deleted, and does not wait for it',
      true,
      async (gc: GarbageCollector) => {
        const top = await create('top', [], ['example.com/mine']);
        const owner = await create('owner', [top]);
        for (const object of [await deleting(top, 'Background'), owner]) gc.observe(ConfigMapKind, object);
        return owner;
      },
    ],
  ] as const) {
    test(`an object with one owner left ${isHeld ? 'stays' : 'goes'} when that is ${what}`, async () => {
      const gc = collector();
      const owner = await chain(gc);
      const child = await create('child', [absent('lost'), owner]);
      await settled();
      changes = [];
      gc.observe(ConfigMapKind, child);
      await settled();
      assert.deepEqual(
        changes.filter((change) => change.includes(' child ')),
        [isHeld ? `update child of ${owner.metadata.name}` : 'delete child Background'],
      );
    });
  }

  test('what is not as it was seen any more is left alone', async () => {
    const gc = collector();
    const freed = await create('freed');
    const renewed = await create('renewed', [absent('owner')]);
    const going = await deleting(await create('going', [absent('owner')], ['example.com/mine']), 'Background');
    gc.observe(ConfigMapKind, { ...freed, metadata: { ...freed.metadata, ownerReferences: [reference(renewed)] } });
    gc.observe(ConfigMapKind, { ...renewed, metadata: { ...renewed.metadata, uid: 'another' } });
    gc.observe(ConfigMapKind, going);
    await settled();
    assert.deepEqual([changes, messages()], [[], []]);
  });

  test('what an owner leaves behind is looked at when the owner is gone', async () => {
    const gc = collector();
    const owner = await create('owner');
    gc.observe(ConfigMapKind, await create('child', [owner]));
    await settled();
    assert.deepEqual(changes, []);
    await world.client.delete(ConfigMapKind, { namespace, name: 'owner' });
    gc.observe(ConfigMapKind, owner);
    gc.gone(ConfigMapKind, { namespace, name: 'owner' });
    await settled();
    assert.deepEqual(changes, ['delete child Background']);
  });

  test('an owner that waits goes after what blocks it, and not before', async () => {
    const gc = collector();
    const owner = await create('owner');
    gc.observe(ConfigMapKind, await create('child', [owner], ['example.com/mine']));
    gc.observe(ConfigMapKind, await deleting(owner, 'Foreground'));
    await settled();
    assert.deepEqual(changes, ['delete child Background']);
    gc.gone(ConfigMapKind, { namespace, name: 'child' });
    await settled();
    assert.deepEqual(changes, ['delete child Background', 'update owner of ']);
  });

  test('nothing without a namespace is deleted for an owner in one', async () => {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: `owned-${namespace}` } };
    const ownerReferences = [reference(absent('owner'))];
    const metadata = { ...node.metadata, ownerReferences };
    collector().observe(NodeKind, await world.client.create<Node>(NodeKind, { ...node, metadata }));
    await settled();
    assert.deepEqual(changes, []);
  });

  test('what is gone before its turn is nothing to do', async () => {
    const gc = collector();
    gc.observe(ConfigMapKind, { ...absent('child'), metadata: { ...absent('child').metadata, finalizers: [] } });
    const child = await create('child', [absent('owner')]);
    gc.observe(ConfigMapKind, child);
    gc.gone(ConfigMapKind, { namespace, name: 'child' });
    await settled();
    assert.deepEqual([changes, messages()], [[], []]);
  });

  test('all that an owner leaves behind is disowned, whatever became of it meanwhile', async () => {
    const owner = await create('owner');
    const gc = collector();
    const children = await Promise.all(Array.from({ length: 30 }, (_, i) => create(`child-${i}`, [owner])));
    const free = await create('free');
    const renewed = await create('renewed', [owner]);
    for (const object of [
      { ...free, metadata: { ...free.metadata, ownerReferences: [reference(owner)] } },
      { ...renewed, metadata: { ...renewed.metadata, uid: 'another' } },
      { ...absent('gone'), metadata: { ...absent('gone').metadata, ownerReferences: [reference(owner)] } },
      ...children,
    ]) {
      gc.observe(ConfigMapKind, object);
    }
    await settled();
    gc.observe(ConfigMapKind, await deleting(owner, 'Orphan'));
    await settled();
    for (const child of children) assert.deepEqual((await stored(child)).metadata.ownerReferences ?? [], []);
    assert.equal((await stored(renewed)).metadata.ownerReferences?.length, 1);
    assert.equal(await world.client.get(ConfigMapKind, { namespace, name: 'owner' }), undefined);
    assert.deepEqual(messages(), []);
  });

  for (const [policy, finalizer] of [
    ['Foreground', 'foregroundDeletion'],
    ['Orphan', 'orphan'],
  ] as const) {
    test(`that a ${finalizer} is not there any more is no obstacle`, async () => {
      const owner = await deleting(await create('owner', [], ['example.com/mine']), policy);
      const ended = await world.client.update(ConfigMapKind, {
        ...owner,
        metadata: { ...owner.metadata, finalizers: ['example.com/mine'] },
      });
      assert.deepEqual(ended.metadata.finalizers, ['example.com/mine']);
      collector().observe(ConfigMapKind, owner);
      await settled();
      assert.deepEqual(messages(), []);
    });
  }

  test('an object that is seen to go and is there without any finalizer is nothing to do', async () => {
    const owner = await world.client.create<ConfigMap>(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'owner', namespace },
    });
    const deletionTimestamp = '2026-01-01T00:00:00Z';
    const metadata = { ...owner.metadata, deletionTimestamp, finalizers: ['orphan'] };
    collector().observe(ConfigMapKind, { ...owner, metadata });
    await settled();
    assert.deepEqual(messages(), []);
  });

  test('that an object went while its finalizer was taken away is as good; other failures are not', async () => {
    const owner = await deleting(await create('owner'), 'Foreground');
    const gone = collector();
    answer = (call) => (call === 'update' ? Promise.reject(notFound(ConfigMapKind, 'owner')) : undefined);
    gone.observe(ConfigMapKind, owner);
    await settled();
    assert.deepEqual(messages(), []);
    const failing = collector();
    answer = (call) => (call === 'update' ? Promise.reject(new Error('no')) : undefined);
    failing.observe(ConfigMapKind, owner);
    await settled();
    assert.deepEqual(messages(), ['warn']);
  });

  test('what fails is tried again after growing delays, which begin anew once it went well', async () => {
    const child = await create('child', [await create('owner')]);
    const gc = collector();
    const delays = () => lines.map(({ fields: { retryInMs = 0 } }) => retryInMs);
    answer = () => Promise.reject(new Error('away'));
    gc.observe(ConfigMapKind, child);
    await settled();
    await clock.advance(10);
    await settled();
    assert.equal(lines.length, 2);
    answer = () => {};
    await clock.advance(20);
    await settled();
    answer = () => Promise.reject(new Error('away'));
    gc.observe(ConfigMapKind, { ...child, metadata: { ...child.metadata, ownerReferences: [] } });
    gc.observe(ConfigMapKind, child);
    await settled();
    assert.ok(
      delays().every((delay, i) => (i === 1 ? delay >= 7 : delay <= 7)),
      delays().join(),
    );
    assert.deepEqual(messages(), ['warn', 'warn', 'warn']);
  });

  test('that an object changed meanwhile is nothing to warn of', async () => {
    const child = await create('child', [absent('owner')]);
    answer = (call) => (call === 'delete' ? Promise.reject(conflict(ConfigMapKind, 'child', 'it changed')) : undefined);
    collector().observe(ConfigMapKind, child);
    await settled();
    assert.deepEqual(messages(), ['debug']);
  });

  test('what is set aside is told once, not tried again, and collected once it is released', async () => {
    const quarantine = new Quarantine({ setAside: [`garbage-collection configmaps ${namespace}/child`] });
    const gc = collector(quarantine);
    gc.observe(ConfigMapKind, await create('child', [absent('owner')]));
    await settled();
    await clock.advance(60_000);
    await settled();
    assert.deepEqual([changes, messages()], [[], ['error']]);
    quarantine.update([]);
    await settled();
    assert.deepEqual(changes, ['delete child Background']);
  });

  test('a release is for the object that it names, and for no other', async () => {
    const work = (name: string) => `garbage-collection configmaps ${namespace}/${name}`;
    const quarantine = new Quarantine({ setAside: [work('child'), work('other')] });
    const gc = collector(quarantine);
    const [child, other] = [await create('child', [absent('owner')]), await create('other', [absent('owner')])];
    for (const object of [child, other]) gc.observe(ConfigMapKind, object);
    await settled();
    quarantine.update([work('other')]);
    await settled();
    assert.deepEqual([changes, messages()], [['delete child Background'], ['error', 'error']]);
  });

  test('after its end nothing is collected, and what ends late is no failure', async () => {
    const held = Promise.withResolvers<void>();
    answer = () => held.promise;
    const gc = collector();
    gc.observe(ConfigMapKind, await create('late', [absent('owner')]));
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(pending, 1);
    answer = () => {};
    stop.abort();
    gc.observe(ConfigMapKind, await create('after', [absent('owner')]));
    held.reject(new Error('stopped'));
    await settled();
    assert.deepEqual([changes, messages()], [[], []]);
  });
});
