import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import type { KubeObject } from '../api/meta.ts';
import { ApiError } from '../api/status.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Client, WatchEvent, WatchOptions } from './client.ts';
import { Informer } from './informer.ts';

type Step = WatchEvent<ConfigMap> | Error | 'end' | 'hang';

/** A server that answers each watch with the next script, and notes from which version it was asked. */
function scripted(...scripts: Step[][]) {
  const asked: (string | undefined)[] = [];
  async function* watch(options: WatchOptions): AsyncGenerator<WatchEvent<ConfigMap>> {
    asked.push(options.resourceVersion);
    for (const step of scripts.shift() ?? ['hang' as const]) {
      if (step instanceof Error) throw step;
      if (step === 'end') return;
      if (step === 'hang')
        await new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve()));
      else yield step;
    }
  }
  // Only watch is called by an informer.
  const client = { watch: (_kind: unknown, options: WatchOptions) => watch(options) } as unknown as Client;
  const clock = new VirtualClock();
  const logged: object[] = [];
  const metrics = new Metrics('test');
  const log = { ...silentLogger, error: (fields: object) => void logged.push(fields) };
  const informer = new Informer(client, ConfigMapKind, { clock, log, metrics });
  const changes: string[] = [];
  informer.onChange((type, object) =>
    changes.push(`${type} ${object.metadata.name}@${object.metadata.resourceVersion}`),
  );
  return { informer, changes, asked, clock, logged, metrics };
}

function configMap(name: string, version: number, extra: Partial<KubeObject['metadata']> = {}): ConfigMap {
  const metadata = { name, namespace: 'n', uid: `uid-${name}`, resourceVersion: String(version), ...extra };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

/** Lets seconds go by one by one, with all that follows from each. */
async function pass(clock: VirtualClock, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    await setImmediate();
    await clock.advance(1_000);
  }
}

const added = (object: ConfigMap): Step => ({ type: 'ADDED', object });
const bookmark = (version: number, isInitialEnd = true): Step => ({
  type: 'BOOKMARK',
  resourceVersion: String(version),
  isInitialEnd,
});
const expired = new ApiError(410, 'Expired', 'too old resource version');

test('the copy is complete when it is synced, and follows changes', async () => {
  const { informer, changes } = scripted([
    added(configMap('a', 1)),
    added(configMap('b', 2)),
    bookmark(2),
    { type: 'MODIFIED', object: configMap('a', 3) },
    { type: 'DELETED', object: configMap('b', 4) },
    'hang',
  ]);
  informer.start();
  await informer.synced;
  await setImmediate();
  assert.deepEqual(changes, ['ADDED a@1', 'ADDED b@2', 'MODIFIED a@3', 'DELETED b@4']);
  assert.equal(informer.get({ namespace: 'n', name: 'a' })?.metadata.resourceVersion, '3');
  assert.equal(informer.get({ namespace: 'n', name: 'b' }), undefined);
  await informer.stop();
});

test('a watch that ended is resumed from the last version, a bookmark included', async () => {
  const { informer, asked, clock } = scripted(
    [added(configMap('a', 1)), bookmark(5), 'end'],
    [bookmark(9, false), new Error('connection lost')],
    ['hang'],
  );
  informer.start();
  await informer.synced;
  await pass(clock, 10);
  assert.deepEqual(asked, [undefined, '5', '9']);
  await informer.stop();
});

test('when the version is too old everything is read anew, and what went meanwhile is told', async () => {
  const { informer, changes, asked, clock } = scripted(
    [added(configMap('a', 1)), added(configMap('b', 2)), bookmark(2), 'end'],
    [expired],
    [added(configMap('a', 1)), added(configMap('c', 7)), bookmark(8), 'hang'],
  );
  informer.start();
  await informer.synced;
  await pass(clock, 10);
  assert.deepEqual(asked, [undefined, '2', undefined]);
  assert.deepEqual(changes, ['ADDED a@1', 'ADDED b@2', 'ADDED c@7', 'DELETED b@2']);
  await informer.stop();
});

test('a first list that breaks off is not resumed but begun again', async () => {
  const { informer, asked, clock } = scripted(
    [added(configMap('a', 7)), new Error('connection lost')],
    [added(configMap('a', 7)), bookmark(9), 'hang'],
  );
  informer.start();
  await setImmediate();
  await pass(clock, 10);
  await informer.synced;
  assert.deepEqual(asked, [undefined, undefined]);
  await informer.stop();
});

test('a server that fails is asked less and less often', async () => {
  const failing: Step[] = [new Error('refused')];
  const { informer, asked, clock } = scripted(...Array.from({ length: 500 }, () => failing));
  informer.start();
  await pass(clock, 60);
  assert.ok(asked.length > 10 && asked.length < 30, `${asked.length} watches in a minute`);
  await informer.stop();
});

test('an object that was replaced by another of its name is told as gone and new', async () => {
  const { informer, changes } = scripted([
    added(configMap('a', 1)),
    bookmark(1),
    { type: 'MODIFIED', object: configMap('a', 5, { uid: 'another' }) },
    'hang',
  ]);
  informer.start();
  await informer.synced;
  await setImmediate();
  assert.deepEqual(changes, ['ADDED a@1', 'DELETED a@1', 'ADDED a@5']);
  await informer.stop();
});

test('objects are found by namespace, label and owner', async () => {
  const owner = { apiVersion: 'v1', kind: 'X', name: 'x', uid: 'x1' };
  const { informer } = scripted([
    added(configMap('a', 1, { labels: { app: 'a' }, ownerReferences: [owner] })),
    added(configMap('b', 2, { labels: { app: 'b' } })),
    added(configMap('c', 3, { namespace: 'other', labels: { app: 'a' } })),
    bookmark(3),
    { type: 'MODIFIED', object: configMap('b', 4, { ownerReferences: [owner] }) },
    { type: 'MODIFIED', object: configMap('a', 5, { labels: { app: 'a' } }) },
    'hang',
  ]);
  informer.start();
  await informer.synced;
  await setImmediate();
  const names = (objects: ConfigMap[]) => objects.map((object) => object.metadata.name);
  assert.deepEqual(names(informer.list({ labels: { app: 'a' } })), ['a', 'c']);
  assert.deepEqual(names(informer.list({ namespace: 'n', labels: { app: 'a' } })), ['a']);
  assert.deepEqual(names(informer.ownedBy('x1')), ['b']);
  await informer.stop();
});

test('what one handler fails at is told to all later ones, logged and counted', async () => {
  const { informer, logged, metrics, clock } = scripted(
    [added(configMap('a', 1)), bookmark(1), { type: 'MODIFIED', object: configMap('a', 2) }, 'end'],
    [expired],
    [added(configMap('b', 7)), bookmark(8), 'hang'],
  );
  const told: string[] = [];
  informer.onChange((type, { metadata }) => {
    throw new Error(`${type} ${metadata.name} is too much`);
  });
  informer.onChange((type, { metadata }) => told.push(`${type} ${metadata.name}`));
  informer.start();
  await informer.synced;
  await pass(clock, 10);
  assert.deepEqual(told, ['ADDED a', 'MODIFIED a', 'ADDED b', 'DELETED a']);
  const err = new Error('ADDED a is too much');
  assert.deepEqual(logged[0], { kind: 'ConfigMap', key: 'n/a', type: 'ADDED', err });
  assert.equal(logged.length, 4);
  assert.match(await metrics.text(), /kittiwake_informer_failures_total\{kind="ConfigMap",what="handler",.*\} 4/);
  await informer.stop();
});

test('an object that is none is left out, logged and counted, and holds up no other', async () => {
  // Whatever a server sends, typed or not.
  const nonsense = [null, {}, { metadata: null }, { metadata: { name: 5 } }] as unknown as ConfigMap[];
  const odd = configMap('odd', 3, { ownerReferences: {} as [] });
  const { informer, changes, asked, logged, metrics, clock } = scripted(
    [...nonsense.map(added), added(odd), bookmark(4), ...nonsense.map(added), added(configMap('a', 5)), 'end'],
    ['hang'],
  );
  informer.start();
  await informer.synced;
  await pass(clock, 10);
  assert.deepEqual(changes, ['ADDED odd@3', 'ADDED a@5']);
  assert.deepEqual(asked, [undefined, '5']);
  assert.equal(logged.length, 8);
  assert.match(await metrics.text(), /kittiwake_informer_failures_total\{kind="ConfigMap",what="object",.*\} 8/);
  await informer.stop();
});

for (const [what, last] of [
  ['ends at once, whatever it said before', 'end'],
  ['says at once that the version is too old', expired],
] as const) {
  test(`a server whose watch ${what} is asked less and less often`, async () => {
    const script: Step[] = [added(configMap('a', 1)), bookmark(1), last];
    const { informer, asked, clock } = scripted(...Array.from({ length: 500 }, () => script));
    informer.start();
    await pass(clock, 60);
    assert.ok(asked.length > 10 && asked.length < 35, `${asked.length} watches in a minute`);
    await informer.stop();
  });
}
