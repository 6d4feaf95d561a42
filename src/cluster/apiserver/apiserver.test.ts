import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { EventKind } from '../../api/core/event.ts';
import { NamespaceKind } from '../../api/core/namespace.ts';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import { fieldForbidden } from '../../api/field-error.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { Admission } from '../../kube/admission.ts';
import { until } from '../../lib/testing/until.ts';
import type { Verb } from './request-info.ts';
import type { WriteOptions } from './resources.ts';
import { asking, askingFor, openApi, type Widget, WidgetKind, widget } from './testing/open-api.ts';

const key = (name: string) => ({ namespace: 'default', name });

const fails = (code: number, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ApiError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

const strict: WriteOptions = { fieldValidation: 'Strict' };

test('a new object gets uid, time, generation 1, defaults and a resourceVersion; its own are ignored', async (t) => {
  const { client } = (await openApi(t)).api;
  const made = await client.create(WidgetKind, {
    ...widget('a', { parts: [{ name: 'p' }] }),
    metadata: {
      name: 'a',
      namespace: 'default',
      uid: 'mine',
      creationTimestamp: '2001-01-01T00:00:00Z',
      generation: 7,
    },
    status: { ready: 3 },
  });
  assert.match(made.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
  assert.equal(made.metadata.creationTimestamp, '2026-01-01T00:00:00Z');
  assert.equal(made.metadata.generation, 1);
  assert.match(made.metadata.resourceVersion ?? '', /^[1-9]\d*$/);
  assert.deepEqual(made.spec, { size: 10, parts: [{ name: 'p', count: 1 }] });
  assert.equal(made.status, undefined);
  assert.deepEqual(await client.get(WidgetKind, key('a')), made);
});

test('generateName makes a name of at most 63 characters that is not taken', async (t) => {
  const { client } = (await openApi(t)).api;
  const base = 'x'.repeat(70);
  const object = { ...widget(''), metadata: { generateName: base, namespace: 'default' } } as unknown as Widget;
  const [a, b] = await Promise.all([client.create(WidgetKind, object), client.create(WidgetKind, object)]);
  assert.equal(a?.metadata.name.length, 63);
  assert.notEqual(a?.metadata.name, b?.metadata.name);
});

const refusedObjects: [why: string, object: unknown, code: number, message: RegExp][] = [
  [
    'of a wrong type',
    { spec: { size: 'big' } },
    422,
    /Widget\.test\.kittiwake\.dev "a" is invalid: spec\.size: Invalid value: "string": spec\.size in body must be/,
  ],
  ['below the minimum', { spec: { size: 0 } }, 422, /spec\.size in body should be greater than or equal to 1/],
  [
    'that is not one of the values',
    { spec: { colour: 'blue' } },
    422,
    /spec\.colour: Unsupported value: "blue": supported values: "red", "green"/,
  ],
  ['that is required and missing', { spec: { parts: [{}] } }, 422, /spec\.parts\[0\]\.name: Required value/],
  [
    'with a repeated key',
    { spec: { parts: [{ name: 'p' }, { name: 'p' }] } },
    422,
    /spec\.parts\[1\]: Duplicate value: \{"name":"p"\}/,
  ],
  ['without its spec', {}, 422, /: spec: Required value/],
  [
    'that is neither number nor string',
    { spec: { port: true } },
    422,
    /spec\.port in body must be of type integer,string/,
  ],
  [
    'with a bad name',
    { metadata: { name: 'A_b' }, spec: {} },
    422,
    /metadata\.name: Invalid value: "A_b": a lowercase RFC 1123/,
  ],
  [
    'with a bad label',
    { metadata: { name: 'a', labels: { 'x y': 'z' } }, spec: {} },
    422,
    /metadata\.labels: Invalid value: "x y"/,
  ],
  ['of another kind', { kind: 'Gadget', spec: {} }, 400, /kind in the data \(Gadget\)/],
  ['of another version', { apiVersion: 'test.kittiwake.dev/v9', spec: {} }, 400, /API version in the data/],
  [
    'in another namespace',
    { metadata: { name: 'a', namespace: 'other' }, spec: {} },
    400,
    /namespace of the provided object/,
  ],
  [
    'with a resourceVersion',
    { metadata: { name: 'a', resourceVersion: '1' }, spec: {} },
    400,
    /resourceVersion should not be set/,
  ],
  [
    'with unknown fields',
    { metadata: { name: 'a', colour: 1 }, spec: { sizes: 1, parts: [{ name: 'p', cnt: 2 }] } },
    400,
    /strict decoding error: unknown field "metadata\.colour", unknown field "spec\.sizes", unknown .*parts\[0\]\.cnt"$/,
  ],
  ['that is a list', [], 400, /must be an object/],
];

test('an object that is wrong is refused, and the field is named', async (t) => {
  const { api } = await openApi(t);
  for (const [why, body, code, message] of refusedObjects) {
    await t.test(`an object ${why} is refused`, async () => {
      const full = Array.isArray(body) ? body : { metadata: { name: 'a' }, ...(body as object) };
      await assert.rejects(api.pipeline.create(asking(api, WidgetKind, 'create'), full, strict), fails(code, message));
    });
  }
  assert.equal((await api.client.list(WidgetKind)).items.length, 0);
});

test('unknown fields are dropped with a warning unless strict; nulls are absent unless allowed', async (t) => {
  const { api } = await openApi(t);
  const body = { ...widget('a'), spec: { x: 1, colour: null, note: null, free: { any: [1, null] } } };
  const { stored, warnings } = await api.pipeline.create(asking(api, WidgetKind, 'create'), body, {});
  assert.deepEqual(warnings, ['unknown field "spec.x"']);
  assert.deepEqual((stored.object as Widget).spec, { size: 10, note: null, free: { any: [1, null] } });
});

test('an update needs the resourceVersion it was made from, and of two the second conflicts', async (t) => {
  const { client } = (await openApi(t)).api;
  const made = await client.create(WidgetKind, widget('a'));
  const results = await Promise.allSettled([
    client.update(WidgetKind, { ...made, spec: { size: 2 } }),
    client.update(WidgetKind, { ...made, spec: { size: 3 } }),
  ]);
  assert.deepEqual(
    results.map((r) => r.status),
    ['fulfilled', 'rejected'],
  );
  const conflict = (results[1] as PromiseRejectedResult).reason;
  fails(
    409,
    /Operation cannot be fulfilled on widgets\.test\.kittiwake\.dev "a": the object has been modified/,
  )(conflict);
  const { resourceVersion: _, ...metadata } = made.metadata;
  await assert.rejects(client.update(WidgetKind, { ...made, metadata }), fails(422, /must be specified for an update/));
});

test('patches that meet are all applied', async (t) => {
  const { client } = (await openApi(t)).api;
  await client.create(WidgetKind, widget('a'));
  const patches = Array.from({ length: 50 }, (_, i) =>
    client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { tags: { [`t${i}`]: 'x' } } } }),
  );
  await Promise.all(patches);
  const after = await client.get(WidgetKind, key('a'));
  assert.equal(Object.keys(after?.spec.tags ?? {}).length, 50);
});

test('a merge patch with a resourceVersion is an optimistic lock', async (t) => {
  const { client } = (await openApi(t)).api;
  await client.create(WidgetKind, widget('a'));
  const patch = { metadata: { resourceVersion: '1', finalizers: ['x.dev/y'] } };
  await assert.rejects(client.patch(WidgetKind, key('a'), { type: 'merge', patch }), fails(409, /has been modified/));
});

test('a write that changes nothing keeps the resourceVersion and tells no watcher', async (t) => {
  const { api } = await openApi(t);
  const { client } = api;
  const made = await client.create(WidgetKind, widget('a', { colour: 'red' }));
  const before = api.pipeline.resourceVersion;
  const same = await client.update(WidgetKind, { ...made, spec: { colour: 'red' } });
  assert.equal(same.metadata.resourceVersion, made.metadata.resourceVersion);
  assert.equal(api.pipeline.resourceVersion, before);
});

test('the generation grows with the spec, not with metadata or status', async (t) => {
  const { client } = (await openApi(t)).api;
  let object = await client.create(WidgetKind, widget('a'));
  object = await client.update(WidgetKind, { ...object, metadata: { ...object.metadata, labels: { a: 'b' } } });
  assert.equal(object.metadata.generation, 1);
  object = await client.update(WidgetKind, { ...object, status: { ready: 1 } }, 'status');
  assert.equal(object.metadata.generation, 1);
  object = await client.update(WidgetKind, { ...object, spec: { size: 11 } });
  assert.equal(object.metadata.generation, 2);
});

test('the main resource keeps the status, and /status takes nothing else', async (t) => {
  const { client } = (await openApi(t)).api;
  const made = await client.create(WidgetKind, widget('a', { size: 5 }));
  const ready = await client.update(
    WidgetKind,
    { ...made, spec: { size: 99 }, metadata: { ...made.metadata, labels: { a: 'b' } }, status: { ready: 2 } },
    'status',
  );
  assert.deepEqual([ready.spec.size, ready.status, ready.metadata.labels], [5, { ready: 2 }, undefined]);
  const changed = await client.update(WidgetKind, { ...ready, spec: { size: 6 }, status: { ready: 77 } });
  assert.deepEqual([changed.spec.size, changed.status], [6, { ready: 2 }]);
  const wrong = { ...changed, status: { ready: 'many' } } as unknown as Widget;
  await assert.rejects(client.update(WidgetKind, wrong, 'status'), fails(422, /status\.ready in body must be of type/));
});

test('the scale subresource reads and writes the replicas', async (t) => {
  const { api } = await openApi(t);
  const { client, pipeline } = api;
  const made = await client.create(WidgetKind, widget('a', { replicas: 1 }));
  await client.update(WidgetKind, { ...made, status: { ready: 1, selector: 'app=a' } }, 'status');
  await client.scale(WidgetKind as Kind, key('a'), 4);
  const at = { ...askingFor(api, WidgetKind, 'get', 'a'), subresource: 'scale' };
  const { object } = await pipeline.get(at);
  assert.deepEqual(
    { ...object, metadata: object.metadata.name },
    {
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: 'a',
      spec: { replicas: 4 },
      status: { replicas: 1, selector: 'app=a' },
    },
  );
  const stored = await client.get(WidgetKind, key('a'));
  assert.deepEqual([stored?.spec.replicas, stored?.metadata.generation], [4, 2]);
  await assert.rejects(client.scale(WidgetKind as Kind, key('a'), -1), fails(422, /spec\.replicas: Invalid value: -1/));
  const stale = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name: 'a', resourceVersion: '1' },
    spec: { replicas: 2 },
  };
  await assert.rejects(pipeline.update({ ...at, verb: 'update' }, stale, strict), fails(409, /has been modified/));
});

test('finalizers keep a deleted object until the last one is taken off', async (t) => {
  const { client } = (await openApi(t)).api;
  const object = widget('a');
  object.metadata.finalizers = ['x.dev/one', 'x.dev/two'];
  await client.create(WidgetKind, object);
  await client.delete(WidgetKind as Kind, key('a'));
  const dying = await client.get(WidgetKind, key('a'));
  assert.equal(dying?.metadata.deletionTimestamp, '2026-01-01T00:00:00Z');
  assert.equal(dying?.metadata.deletionGracePeriodSeconds, 0);
  assert.equal(dying?.metadata.generation, 2);
  await client.delete(WidgetKind as Kind, key('a'));
  assert.equal((await client.get(WidgetKind, key('a')))?.metadata.resourceVersion, dying?.metadata.resourceVersion);

  const add = { metadata: { finalizers: ['x.dev/one', 'x.dev/two', 'x.dev/three'] } };
  await assert.rejects(
    client.patch(WidgetKind, key('a'), { type: 'merge', patch: add }),
    fails(422, /no new finalizers can be added if the object is being deleted/),
  );
  await client.patch(WidgetKind, key('a'), { type: 'merge', patch: { metadata: { finalizers: ['x.dev/two'] } } });
  assert.ok(await client.get(WidgetKind, key('a')));
  const last = await client.patch(WidgetKind, key('a'), {
    type: 'json',
    operations: [{ op: 'remove', path: '/metadata/finalizers' }],
  });
  assert.equal(await client.get(WidgetKind, key('a')), undefined);
  assert.ok(Number(last.metadata.resourceVersion) > Number(dying?.metadata.resourceVersion));
});

test('foreground and orphan deletion leave a finalizer for the garbage collector', async (t) => {
  const { client } = (await openApi(t)).api;
  for (const [propagationPolicy, finalizer] of [
    ['Foreground', 'foregroundDeletion'],
    ['Orphan', 'orphan'],
  ] as const) {
    await client.create(WidgetKind, widget('a'));
    await client.delete(WidgetKind as Kind, key('a'), { propagationPolicy });
    assert.deepEqual((await client.get(WidgetKind, key('a')))?.metadata.finalizers, [finalizer]);
    await client.patch(WidgetKind, key('a'), { type: 'merge', patch: { metadata: { finalizers: null } } });
  }
  await client.create(WidgetKind, widget('a'));
  await client.delete(WidgetKind as Kind, key('a'), { propagationPolicy: 'Background' });
  assert.equal(await client.get(WidgetKind, key('a')), undefined);
});

test('preconditions of a deletion are kept; deleting what is gone is no error of the Client', async (t) => {
  const { client } = (await openApi(t)).api;
  await client.create(WidgetKind, widget('a'));
  const other = client.delete(WidgetKind as Kind, key('a'), { preconditions: { uid: 'other' } });
  await assert.rejects(other, fails(409, /UID in precondition: other/));
  await client.delete(WidgetKind as Kind, key('a'));
  await client.delete(WidgetKind as Kind, key('a'));
});

const pod = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'i' }] },
});

test('a pod on a node has its grace, which only shrinks; the final delete removes it', async (t) => {
  const { client } = (await openApi(t)).api;
  await client.create(PodKind, pod('a'));
  await client.patch(PodKind, key('a'), { type: 'merge', patch: { spec: { nodeName: 'local' } } });
  await client.delete(PodKind as Kind, key('a'));
  const dying = await client.get(PodKind, key('a'));
  assert.equal(dying?.metadata.deletionTimestamp, '2026-01-01T00:00:30Z');
  assert.equal(dying?.metadata.deletionGracePeriodSeconds, 30);
  await client.delete(PodKind as Kind, key('a'), { gracePeriodSeconds: 90 });
  assert.equal((await client.get(PodKind, key('a')))?.metadata.deletionGracePeriodSeconds, 30);
  await client.delete(PodKind as Kind, key('a'), { gracePeriodSeconds: 5 });
  assert.equal((await client.get(PodKind, key('a')))?.metadata.deletionGracePeriodSeconds, 5);
  await client.delete(PodKind as Kind, key('a'), { gracePeriodSeconds: 0 });
  assert.equal(await client.get(PodKind, key('a')), undefined);

  await client.create(PodKind, pod('b'));
  await client.delete(PodKind as Kind, key('b'));
  assert.equal(await client.get(PodKind, key('b')), undefined, 'a pod that no node has goes at once');
});

test('nothing is created in a namespace that is missing or going away; it ends when finalized', async (t) => {
  const { client } = (await openApi(t)).api;
  const inside = (name: string): Widget => ({ ...widget(name), metadata: { name, namespace: 'ns' } });
  await assert.rejects(client.create(WidgetKind, inside('a')), fails(404, /namespaces "ns" not found/));
  await client.create(NamespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } });
  await client.create(WidgetKind, inside('a'));
  await client.delete(NamespaceKind as Kind, { name: 'ns' });
  const dying = await client.get(NamespaceKind, { name: 'ns' });
  assert.ok(dying);
  assert.equal(dying.status?.phase, 'Terminating');
  await assert.rejects(client.create(WidgetKind, inside('b')), (error: unknown) => {
    fails(403, /"b" is forbidden: unable to create new content in namespace ns because it is being terminated/)(error);
    assert.equal((error as ApiError).details.causes?.[0]?.reason, 'NamespaceTerminating');
    return true;
  });
  const kept = await client.update(NamespaceKind, { ...dying, spec: { finalizers: [] } });
  assert.deepEqual(kept.spec?.finalizers, ['kubernetes'], 'only /finalize takes it off');
  await client.update(NamespaceKind, { ...dying, spec: { finalizers: [] } }, 'finalize');
  assert.equal(await client.get(NamespaceKind, { name: 'ns' }), undefined);
  await assert.rejects(client.delete(NamespaceKind as Kind, { name: 'default' }), fails(403, /may not be deleted/));
});

test('a dry run answers what would be, and writes nothing', async (t) => {
  const { api } = await openApi(t);
  const { pipeline, client } = api;
  const dry = (verb: Verb) => ({ ...askingFor(api, WidgetKind, verb, 'a'), dryRun: true });
  const before = pipeline.resourceVersion;
  const { stored } = await pipeline.create(dry('create'), widget('a'), strict);
  assert.equal((stored.object as Widget).spec.size, 10);
  await assert.rejects(
    pipeline.create(dry('create'), { ...widget('a'), spec: { size: 0 } }, strict),
    fails(422, /spec\.size/),
  );
  assert.equal(pipeline.resourceVersion, before);
  await client.create(WidgetKind, widget('a'));
  const written = pipeline.resourceVersion;
  const patched = await pipeline.patch(dry('patch'), { type: 'merge', patch: { spec: { size: 3 } } }, strict);
  assert.equal((patched.stored.object as Widget).spec.size, 3);
  assert.equal((await pipeline.delete(dry('delete'), {})).isGone, true);
  assert.equal(pipeline.resourceVersion, written);
  assert.equal((await client.get(WidgetKind, key('a')))?.spec.size, 10);
});

test('admission changes and refuses objects, and one that takes its time decides on the newest state', async (t) => {
  let block: Promise<void> | undefined;
  const paint: Admission = {
    name: 'paint',
    kinds: [WidgetKind as unknown as Kind],
    async mutate({ object, operation }) {
      (object as Widget).spec.colour ??= 'green';
      if (operation === 'UPDATE') await block;
    },
    validate: ({ object }) => ((object as Widget).spec.size === 13 ? [fieldForbidden('spec.size', 'bad luck')] : []),
  };
  const { api } = await openApi(t, { admission: () => [paint] });
  const { client } = api;
  assert.equal((await client.create(WidgetKind, widget('a'))).spec.colour, 'green');
  await assert.rejects(
    client.create(WidgetKind, widget('b', { size: 13 })),
    fails(422, /spec\.size: Forbidden: bad luck/),
  );

  let release: () => void = () => {};
  block = new Promise((resolve) => {
    release = resolve;
  });
  const slow = client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { tags: { slow: 'x' } } } });
  const quick = client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { tags: { quick: 'x' } } } });
  release();
  await Promise.all([slow, quick]);
  assert.deepEqual((await client.get(WidgetKind, key('a')))?.spec.tags, { slow: 'x', quick: 'x' });
});

test('objects that come back are frozen: nobody changes what others see', async (t) => {
  const { client } = (await openApi(t)).api;
  const made = await client.create(WidgetKind, widget('a'));
  assert.throws(() => {
    made.spec.size = 1;
  }, TypeError);
});

test('a collection is deleted by its selector', async (t) => {
  const { api } = await openApi(t);
  const { client, pipeline } = api;
  for (let i = 0; i < 6; i++) {
    const object = widget(`w${i}`);
    object.metadata.labels = { odd: String(i % 2) };
    await client.create(WidgetKind, object);
  }
  await pipeline.deleteCollection({ ...asking(api, WidgetKind, 'deletecollection'), labelSelector: 'odd=1' }, {});
  const left = (await client.list(WidgetKind, { namespace: 'default' })).items.map((o) => o.metadata.name);
  assert.deepEqual(left, ['w0', 'w2', 'w4']);
});

test('core Events go after an hour, and a flood of them drops the oldest', async (t) => {
  const { api, clock } = await openApi(t);
  const { client } = api;
  const event = (i: number) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `e${String(i).padStart(4, '0')}`, namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'p' },
  });
  await Promise.all(Array.from({ length: 1100 }, (_, i) => client.create(EventKind, event(i))));
  const names = async () => (await client.list(EventKind)).items.map((e) => e.metadata.name);
  await until(async () => (await names()).length <= 1000);
  assert.equal((await names())[0], 'e0100');
  await clock.advance(3_700_000);
  await until(async () => (await names()).length === 0);
});

test('a full disk is a 507 that says so; reads go on, and writes when there is space again', async (t) => {
  const { client } = (await openApi(t, { storePagesMax: 200 })).api;
  const big = (i: number) => widget(`w${i}`, { note: 'x'.repeat(50_000) });
  const all = await Promise.allSettled(Array.from({ length: 30 }, async (_, i) => client.create(WidgetKind, big(i))));
  const refused = all.filter((r) => r.status === 'rejected').map((r) => r.reason);
  assert.ok(refused.length > 0);
  for (const error of refused) fails(507, /the disk that holds .*store\.db is full: nothing was written/)(error);
  const { items } = await client.list(WidgetKind);
  assert.equal(items.length, 30 - refused.length);
  await client.create(WidgetKind, widget('small'));
  assert.ok(await client.get(WidgetKind, key('small')));
});

test('a start on what is there writes nothing', async (t) => {
  const { api, dataDir } = await openApi(t);
  const before = api.pipeline.resourceVersion;
  await api.stop();
  const { openApiServer } = await import('./index.ts');
  const { silentLogger } = await import('../../observe/log.ts');
  const { VirtualClock } = await import('../../lib/virtual-clock.ts');
  const kinds = [WidgetKind as unknown as Kind];
  const again = await openApiServer({ dataDir, clock: new VirtualClock(), log: silentLogger, kinds });
  t.after(() => again.stop());
  assert.equal(again.pipeline.resourceVersion, before);
  const namespaces = (await again.client.list(NamespaceKind)).items.map((n: KubeObject) => n.metadata.name);
  assert.deepEqual(namespaces, ['default', 'kube-node-lease', 'kube-public', 'kube-system']);
  await again.client.create(ConfigMapKind, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'default' },
  });
});
