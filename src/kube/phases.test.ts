import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../test/world.ts';
import { defineKind, type Kind } from '../api/kind.ts';
import { type KubeObject, keyOf, statusFields } from '../api/meta.ts';
import { boolean, object, string, type ValueOf } from '../api/schema.ts';
import { conditionSet } from './conditions.ts';
import { reconcileInPhases } from './phases.ts';
import type { ReconcileContext } from './reconciler.ts';

const lampSchema = object(
  { spec: object({ isWired: boolean(), color: string() }), status: object({ ...statusFields, shines: string() }) },
  { required: ['spec'] },
);
interface Lamp extends KubeObject, ValueOf<typeof lampSchema> {}

const LampKind: Kind<Lamp> = defineKind<Lamp>({
  group: 'toys.example.dev',
  version: 'v1',
  kind: 'Lamp',
  schema: lampSchema,
});

type ConditionType = 'Ready' | 'Wired' | 'Lit';
const conditions = conditionSet<ConditionType>({ happy: 'Ready', dependents: ['Wired', 'Lit'] });

describe('a reconcile in phases', () => {
  let world: World;
  let ran: string[] = [];
  /** What the phase `light` does besides. */
  let onLight = () => {};

  before(async () => {
    world = await openWorld({ kinds: [LampKind as Kind] });
  });
  after(() => world.stop());

  const reconcile = reconcileInPhases<Lamp, ConditionType, { color: string; isPlugged?: boolean }>({
    conditions,
    begin({ spec: { color } }) {
      if (color === 'foreign') return undefined;
      return color === 'later' ? { requeueAfterMs: 7 } : { color: color ?? 'white' };
    },
    phases: [
      function wire(run) {
        ran.push('wire');
        run.isPlugged = run.object.spec.isWired === true;
        if (run.isPlugged) return run.conditions.markTrue('Wired');
        run.conditions.markFalse('Wired', 'NoWire', 'there is no wire');
      },
      async function light(run) {
        ran.push('light');
        onLight();
        if (run.color === 'blocked') {
          run.isBlocked = true;
          run.requeue = { requeueAfterMs: 5 };
          return run.conditions.markUnknown('Lit', 'Blocked', 'it waits');
        }
        if (run.color === 'dark') return run.conditions.markFalse('Lit', 'NoBulb', 'there is no bulb');
        run.conditions.markTrue('Lit');
      },
      function shine({ status, color }) {
        ran.push('shine');
        status.shines = color;
      },
    ],
    finalize: ({ metadata }) => void ran.push(`finalize ${metadata.name}`),
  });

  /** One reconcile of the lamp as it is stored, or with another spec of that generation; what it throws is returned. */
  async function pass(name: string, spec?: Lamp['spec']) {
    const lamp = await stored(name);
    ran = [];
    const context: Partial<ReconcileContext> = { client: world.client, kind: LampKind as Kind, clock: world.clock };
    return await reconcile(spec ? { ...lamp, spec } : lamp, context as ReconcileContext).catch(
      (error: Error) => error.message,
    );
  }

  async function stored(name: string): Promise<Lamp> {
    const lamp = await world.client.get(LampKind, { namespace: 'default', name });
    assert.ok(lamp);
    return lamp;
  }

  const create = (name: string, spec: Lamp['spec'] = { isWired: true }) =>
    world.client.create(LampKind, {
      apiVersion: 'toys.example.dev/v1',
      kind: 'Lamp',
      metadata: { name, namespace: 'default' },
      spec,
    });

  const change = async (name: string, spec: Lamp['spec']) =>
    world.client.update(LampKind, { ...(await stored(name)), spec });

  /** The generation that the status speaks of, and what it says. */
  async function said(name: string): Promise<string> {
    const { status } = await stored(name);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    return [status?.observedGeneration, ready?.status, ready?.reason].filter((part) => part !== undefined).join(' ');
  }

  /** Passes once while `light` throws. */
  async function passBreaking(name: string, spec?: Lamp['spec']) {
    onLight = () => {
      throw new Error('the bulb broke');
    };
    try {
      assert.equal(await pass(name, spec), 'the bulb broke');
    } finally {
      onLight = () => {};
    }
  }

  test('runs them in order and writes the status once, when it differs', async () => {
    const { metadata } = await create('plain', { isWired: true, color: 'red' });
    assert.equal(await pass('plain'), undefined);
    assert.deepEqual(ran, ['wire', 'light', 'shine']);
    const lamp = await stored('plain');
    assert.equal(await said('plain'), '1 True');
    assert.equal(lamp.status?.shines, 'red');
    assert.notEqual(lamp.metadata.resourceVersion, metadata.resourceVersion);
    await pass('plain');
    assert.equal((await stored('plain')).metadata.resourceVersion, lamp.metadata.resourceVersion);
  });

  test('ends with a phase that blocks it: the status is written, and the requeue handed on', async () => {
    await create('blocked', { isWired: true, color: 'blocked' });
    assert.deepEqual(await pass('blocked'), { requeueAfterMs: 5 });
    assert.deepEqual(ran, ['wire', 'light']);
    assert.equal(await said('blocked'), '1 Unknown Blocked');
  });

  test('a new generation of which a phase threw does not pass for the old one', async () => {
    await create('new');
    await pass('new');
    await change('new', { isWired: true, color: 'blue' });
    await passBreaking('new');
    assert.deepEqual(ran, ['wire', 'light']);
    assert.equal(await said('new'), '2 Unknown NewObservedGenFailure');
    // The status speaks of the new generation by now, and Lit still of the old one.
    await passBreaking('new');
    assert.equal(await said('new'), '2 Unknown NewObservedGenFailure');
    await pass('new');
    assert.equal(await said('new'), '2 True');
  });

  test('what failed in an old generation does not speak for a new one of which a phase threw', async () => {
    await create('failed', { isWired: true, color: 'dark' });
    await pass('failed');
    assert.equal(await said('failed'), '1 False NoBulb');
    await change('failed', { isWired: true, color: 'red' });
    await passBreaking('failed');
    assert.equal(await said('failed'), '2 Unknown NewObservedGenFailure');
    await passBreaking('failed');
    assert.equal(await said('failed'), '2 Unknown NewObservedGenFailure');
  });

  test('what was found to be False before a phase threw is said; True it is only once nothing throws', async () => {
    await create('false');
    await pass('false');
    await change('false', { isWired: false });
    await passBreaking('false');
    assert.equal(await said('false'), '2 False NoWire');
    // The cause went away by itself: that of Lit is still of the old generation.
    await passBreaking('false', { isWired: true });
    assert.equal(await said('false'), '2 Unknown NewObservedGenFailure');
  });

  test('what a generation came to stands when a phase throws later', async () => {
    await create('later-on');
    await pass('later-on');
    const { resourceVersion } = (await stored('later-on')).metadata;
    await passBreaking('later-on');
    assert.equal((await stored('later-on')).metadata.resourceVersion, resourceVersion);
  });

  test('an object that it has nothing to say of is left as it is', async () => {
    await create('foreign', { color: 'foreign' });
    assert.equal(await pass('foreign'), undefined);
    await create('later', { color: 'later' });
    assert.deepEqual(await pass('later'), { requeueAfterMs: 7 });
    assert.deepEqual(ran, []);
    assert.equal((await stored('foreign')).status, undefined);
    assert.equal((await stored('later')).status, undefined);
  });

  test('one that is being deleted is finalized instead', async () => {
    const lamp = await create('going');
    await world.client.update(LampKind, { ...lamp, metadata: { ...lamp.metadata, finalizers: ['example.dev/x'] } });
    await world.client.delete(LampKind, keyOf(lamp));
    await pass('going');
    assert.deepEqual(ran, ['finalize going']);
    assert.equal((await stored('going')).status, undefined);
  });
});
