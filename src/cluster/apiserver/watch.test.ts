import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import type { ApiServer } from './index.ts';
import type { ListRequest, ServedEvent, WatchRequest } from './resources.ts';
import { asking, openApi, WidgetKind, widget } from './testing/open-api.ts';

const kind = WidgetKind as unknown as Kind;
const key = (name: string) => ({ namespace: 'default', name });

/** A watch whose events are asked for one by one. */
function open(t: TestContext, api: ApiServer, request: Partial<WatchRequest> = {}) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const stream = api.pipeline.watch({
    ...asking(api, kind, 'watch'),
    namespace: undefined,
    signal: abort.signal,
    ...request,
  });
  const iterator = stream[Symbol.asyncIterator]();
  const waiting: ServedEvent[] = [];
  return {
    abort,
    async next(): Promise<ServedEvent | undefined> {
      if (waiting.length === 0) waiting.push(...((await iterator.next()).value ?? []));
      return waiting.shift();
    },
  };
}

const described = (event: ServedEvent | undefined) =>
  event && `${event.type} ${(event.object as KubeObject).metadata.name ?? ''}`.trim();

const initial = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true };

test('a watch with initial events sends what is there, a marked bookmark, then what happens', async (t) => {
  const { api } = await openApi(t);
  const { client } = api;
  await client.create(WidgetKind, widget('a'));
  const watcher = open(t, api, initial);
  assert.equal(described(await watcher.next()), 'ADDED a');
  const mark = await watcher.next();
  assert.deepEqual(JSON.parse(mark?.bytes.toString() ?? ''), {
    type: 'BOOKMARK',
    object: {
      kind: 'Widget',
      apiVersion: 'test.kittiwake.dev/v1',
      metadata: {
        resourceVersion: api.pipeline.resourceVersion,
        annotations: { 'k8s.io/initial-events-end': 'true' },
      },
    },
  });
  const b = await client.create(WidgetKind, widget('b'));
  const added = await watcher.next();
  assert.equal(added?.bytes.toString(), `${JSON.stringify({ type: 'ADDED', object: b })}\n`);
  await client.delete(kind, key('b'));
  const deleted = await watcher.next();
  assert.equal(described(deleted), 'DELETED b');
  const { resourceVersion } = (deleted?.object as KubeObject | undefined)?.metadata ?? {};
  assert.equal(resourceVersion, api.pipeline.resourceVersion, 'a deletion has a resourceVersion of its own');
});

test('all watchers of one event share its bytes', async (t) => {
  const { api } = await openApi(t);
  const from = { resourceVersion: api.pipeline.resourceVersion };
  const [one, two] = [open(t, api, from), open(t, api, from)];
  await api.client.create(WidgetKind, widget('a'));
  assert.equal((await one.next())?.bytes, (await two.next())?.bytes);
});

test('an object that enters or leaves a selector is ADDED or DELETED for it', async (t) => {
  const { api } = await openApi(t);
  const { client } = api;
  await client.create(WidgetKind, widget('a'));
  const watcher = open(t, api, { resourceVersion: api.pipeline.resourceVersion, labelSelector: 'on=yes' });
  const label = (value: string | null) =>
    client.patch(WidgetKind, key('a'), { type: 'merge', patch: { metadata: { labels: { on: value } } } });
  await label('yes');
  const entered = await label('yes');
  const left = await label(null);
  await label('no');
  assert.equal(described(await watcher.next()), 'ADDED a');
  const event = await watcher.next();
  assert.equal(described(event), 'DELETED a');
  const { labels, resourceVersion } = (event?.object as KubeObject | undefined)?.metadata ?? {};
  assert.deepEqual(labels, entered.metadata.labels, 'as it last was inside');
  assert.equal(resourceVersion, left.metadata.resourceVersion, 'with the resourceVersion of the change');
  await label('yes');
  assert.equal(described(await watcher.next()), 'ADDED a');
});

test('a watch of one name, by field selector or by its own, sees only that one', async (t) => {
  const { api } = await openApi(t);
  const resourceVersion = api.pipeline.resourceVersion;
  const watchers = [
    open(t, api, { resourceVersion, fieldSelector: 'metadata.name=b' }),
    open(t, api, { resourceVersion, namespace: 'default', name: 'b' }),
  ];
  for (const name of ['a', 'b', 'c']) await api.client.create(WidgetKind, widget(name));
  for (const watcher of watchers) assert.equal(described(await watcher.next()), 'ADDED b');
});

test('a watch from a resourceVersion that is forgotten, or not yet, is told so (410)', async (t) => {
  const { api } = await openApi(t);
  await api.client.create(WidgetKind, widget('a'));
  for (let i = 0; i < 4200; i += 100) {
    const patches = Array.from({ length: 100 }, (_, j) =>
      api.client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { note: `${i + j}` } } }),
    );
    await Promise.all(patches);
  }
  for (const resourceVersion of ['1', '999999999']) {
    const watcher = open(t, api, { resourceVersion });
    const event = await watcher.next();
    assert.equal(event?.type, 'ERROR');
    assert.equal((event?.object as { code: number } | undefined)?.code, 410);
    assert.equal((event?.object as { reason: string } | undefined)?.reason, 'Expired');
    assert.equal(await watcher.next(), undefined);
  }
  const controller = new AbortController();
  const watching = (async () => {
    for await (const _ of api.client.watch(WidgetKind, { resourceVersion: '1', signal: controller.signal })) break;
  })();
  await assert.rejects(watching, (error: unknown) => error instanceof ApiError && error.code === 410);
});

test('a watcher that does not read is dropped with 410, and holds no more than its bound', async (t) => {
  const { api } = await openApi(t);
  const watcher = open(t, api, { resourceVersion: api.pipeline.resourceVersion });
  await api.client.create(WidgetKind, widget('a'));
  for (let i = 0; i < 42; i++) {
    const patches = Array.from({ length: 100 }, (_, j) =>
      api.client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { note: `${i}-${j}` } } }),
    );
    await Promise.all(patches);
  }
  const only = await watcher.next();
  assert.equal(only?.type, 'ERROR');
  assert.match((only?.object as { message: string } | undefined)?.message ?? '', /too slow/);
  assert.equal(await watcher.next(), undefined);
});

test('bookmarks come each minute and before the timeout, after which the watch ends', async (t) => {
  const { api, clock } = await openApi(t);
  const watcher = open(t, api, {
    resourceVersion: api.pipeline.resourceVersion,
    allowWatchBookmarks: true,
    timeoutSeconds: 90,
  });
  await clock.advance(60_000);
  assert.equal((await watcher.next())?.type, 'BOOKMARK');
  await clock.advance(30_000);
  assert.equal((await watcher.next())?.type, 'BOOKMARK');
  assert.equal(await watcher.next(), undefined);
});

test('a watch ends by its signal, also while it waits', async (t) => {
  const { api } = await openApi(t);
  const watcher = open(t, api, { resourceVersion: api.pipeline.resourceVersion });
  const next = watcher.next();
  watcher.abort.abort();
  assert.equal(await next, undefined);
});

test('pages of a list are of one moment, whatever is written between them', async (t) => {
  const { api } = await openApi(t);
  const { client, pipeline } = api;
  for (const name of ['a', 'b', 'c', 'd', 'e']) await client.create(WidgetKind, widget(name, { note: 'old' }));
  const all: ListRequest = { ...asking(api, kind, 'list'), namespace: undefined };
  const names = (page: { items: readonly { object: KubeObject }[] }) => page.items.map((i) => i.object.metadata.name);
  const first = await pipeline.list({ ...all, limit: 2 });
  assert.deepEqual([names(first), first.remainingItemCount], [['a', 'b'], 3]);

  await client.delete(kind, key('d'));
  await client.create(WidgetKind, widget('cc'));
  await client.patch(WidgetKind, key('e'), { type: 'merge', patch: { spec: { note: 'new' } } });
  const second = await pipeline.list({ ...all, limit: 2, continue: first.continue });
  const third = await pipeline.list({ ...all, limit: 2, continue: second.continue });
  assert.deepEqual([names(second), names(third)], [['c', 'd'], ['e']]);
  assert.equal((third.items[0]?.object as { spec?: { note?: string } } | undefined)?.spec?.note, 'old');
  assert.equal(third.resourceVersion, first.resourceVersion);
  assert.equal(third.continue, undefined);

  const exact = { ...all, resourceVersion: first.resourceVersion, resourceVersionMatch: 'Exact' };
  assert.deepEqual(names(await pipeline.list(exact)), ['a', 'b', 'c', 'd', 'e']);
});

const refusedLists: [why: string, request: object, code: number, reason: string][] = [
  ['a match without a resourceVersion', { resourceVersionMatch: 'Exact' }, 422, 'Invalid'],
  ['exactly 0', { resourceVersion: '0', resourceVersionMatch: 'Exact' }, 422, 'Invalid'],
  ['a match with continue', { continue: 'x', resourceVersionMatch: 'Exact', resourceVersion: '1' }, 422, 'Invalid'],
  ['a resourceVersion ahead of the server', { resourceVersion: '999999' }, 504, 'Timeout'],
  ['a resourceVersion that is no number', { resourceVersion: 'new' }, 400, 'BadRequest'],
  ['a continue token that is not ours', { continue: 'bm9uc2Vuc2U' }, 400, 'BadRequest'],
  ['a malformed label selector', { labelSelector: 'a in b' }, 400, 'BadRequest'],
  ['a field that is not offered', { fieldSelector: 'spec.size=1' }, 400, 'BadRequest'],
];

test('a list that cannot be answered is refused', async (t) => {
  const { api } = await openApi(t);
  for (const [why, request, code, reason] of refusedLists) {
    await t.test(`a list of ${why} is refused with ${code}`, async () => {
      const asked = api.pipeline.list({ ...asking(api, kind, 'list'), ...request });
      await assert.rejects(asked, (error: unknown) => {
        assert.ok(error instanceof ApiError);
        assert.deepEqual([error.code, error.reason], [code, reason]);
        return true;
      });
    });
  }
});

test('an expired page is told how to go on (410)', async (t) => {
  const { api } = await openApi(t);
  const all: ListRequest = { ...asking(api, kind, 'list'), namespace: undefined };
  for (const name of ['a', 'b', 'c']) await api.client.create(WidgetKind, widget(name));
  const first = await api.pipeline.list({ ...all, limit: 1 });
  for (let i = 0; i < 42; i++) {
    const patches = Array.from({ length: 100 }, (_, j) =>
      api.client.patch(WidgetKind, key('a'), { type: 'merge', patch: { spec: { note: `${i}-${j}` } } }),
    );
    await Promise.all(patches);
  }
  const error: unknown = await api.pipeline.list({ ...all, limit: 1, continue: first.continue }).catch((e) => e);
  assert.ok(error instanceof ApiError && error.code === 410);
  const inconsistent = error.toStatus().metadata.continue;
  const rest = await api.pipeline.list({ ...all, continue: inconsistent });
  assert.deepEqual(
    rest.items.map((i) => i.object.metadata.name),
    ['b', 'c'],
  );
});

type Step =
  | { do: 'put'; name: number; on: boolean; value: number }
  | { do: 'delete'; name: number }
  | { do: 'watch'; selector: boolean; fromListed: boolean };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.nat(5), on: fc.boolean(), value: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), name: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('watch' as const), selector: fc.boolean(), fromListed: fc.boolean() }),
  },
);

test('whatever is written, every watcher can rebuild the list, in order and without gaps', {
  timeout: 60_000,
}, async (t) => {
  const { api } = await openApi(t);
  const { client, pipeline } = api;
  const all: ListRequest = { ...asking(api, kind, 'list'), namespace: undefined };

  /** Applies the steps without waiting, so that writes and watches meet; then compares each watcher with the list. */
  const run = async (steps: readonly Step[]) => {
    const abort = new AbortController();
    const watchers: { selector: string; state: Map<string, string>; done: Promise<void>; revision: () => number }[] =
      [];
    const begin = async (labelSelector: string, fromListed: boolean) => {
      const state = new Map<string, string>();
      let revision = 0;
      const take = (object: KubeObject) => state.set(object.metadata.name, object.metadata.resourceVersion ?? '');
      const request: WatchRequest = { ...all, verb: 'watch', labelSelector, signal: abort.signal };
      if (fromListed) {
        const page = await pipeline.list({ ...all, labelSelector });
        for (const { object } of page.items) take(object);
        request.resourceVersion = page.resourceVersion;
      }
      const stream = pipeline.watch(request);
      const done = (async () => {
        for await (const batch of stream) {
          for (const { type, object } of batch) {
            const { metadata } = object as KubeObject;
            const isInitial = !fromListed && type === 'ADDED' && Number(metadata.resourceVersion) <= revision;
            if (!isInitial) assert.ok(Number(metadata.resourceVersion) >= revision, 'events are in order');
            assert.equal(type === 'ADDED', !state.has(metadata.name), 'ADDED is for what was not there');
            if (type === 'DELETED') state.delete(metadata.name);
            else take(object as KubeObject);
            revision = Math.max(revision, Number(metadata.resourceVersion));
          }
        }
      })();
      watchers.push({ selector: labelSelector, state, done, revision: () => revision });
    };
    const pending: Promise<unknown>[] = [begin('', false)];
    for (const s of steps) {
      const name = s.do === 'watch' ? '' : `w${s.name}`;
      if (s.do === 'watch') pending.push(begin(s.selector ? 'on=true' : '', s.fromListed));
      else if (s.do === 'delete') pending.push(client.delete(kind, key(name)));
      else {
        const labels = { on: String(s.on) };
        const patch = { metadata: { labels }, spec: { size: s.value + 1 } };
        const created = client.create(WidgetKind, { ...widget(name), metadata: { ...widget(name).metadata, labels } });
        pending.push(
          created.catch(() => client.patch(WidgetKind, key(name), { type: 'merge', patch }).catch(() => {})),
        );
      }
      if (pending.length % 4 === 0) await Promise.all(pending);
    }
    await Promise.all(pending);
    for (const { selector, state } of watchers) {
      const { items } = await pipeline.list({ ...all, labelSelector: selector });
      const listed = new Map(items.map(({ object }) => [object.metadata.name, object.metadata.resourceVersion ?? '']));
      const isSame = () => [...listed].sort().join() === [...state].sort().join();
      for (let i = 0; i < 50 && !isSame(); i++) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual([...state].sort(), [...listed].sort());
    }
    abort.abort();
    await Promise.all(watchers.map((watcher) => watcher.done));
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), run), { numRuns: 60 });
});
