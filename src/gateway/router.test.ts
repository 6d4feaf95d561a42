import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { chooseSplit, matchRoute, Router } from './router.ts';
import { defaultTarget, type PathRoute, type Snapshot, type Split } from './snapshot.ts';

const split = (name: string, percent = 100): Split => ({ percent, revision: `ns/${name}`, appendHeaders: {} });
const route = (prefix: string, splits: Split[], headers: PathRoute['headers'] = []): PathRoute => ({
  prefix,
  headers,
  splits,
});

function snapshotOf(hosts: Record<string, PathRoute[]>, names: string[]): Snapshot {
  const endpoints = [{ host: '127.0.0.1', port: 80 }];
  const targets = names.map((name) => [`ns/${name}`, { ...defaultTarget('ns', name), endpoints }] as const);
  return { hosts: new Map(Object.entries(hosts)), revisions: new Map(targets) };
}

function routerOf(snapshot: Snapshot): Router {
  const router = new Router({ clock: new VirtualClock(), queueMax: 10, onDemand() {} });
  router.swap(snapshot);
  return router;
}

describe('the router', () => {
  const hosts: [asked: string, isFound: boolean][] = [
    ['a.localhost', true],
    ['A.LocalHost', true],
    ['a.localhost:8080', true],
    ['A.localhost:', true],
    ['b.a.localhost', false],
    ['a.localhost.', false],
    ['[::1]:80', true],
    ['[::1]', true],
  ];
  for (const [asked, isFound] of hosts) {
    it(`${isFound ? 'finds' : 'does not find'} the host ${asked}`, () => {
      const router = routerOf(snapshotOf({ 'a.localhost': [], '[::1]': [] }, []));
      assert.equal(router.routesOf(asked) !== undefined, isFound);
    });
  }

  it('takes the first route whose prefix and header fields match', () => {
    const tag = [{ name: 'knative-serving-tag', value: 'blue' }];
    const router = routerOf(
      snapshotOf(
        { a: [route('/x/y', [split('deep')]), route('/', [split('tagged')], tag), route('/', [split('root')])] },
        [],
      ),
    );
    const find = (target: string, fields = '') =>
      matchRoute(router.routesOf('a') ?? [], target, fields)?.splits[0]?.backend.target.name;
    assert.equal(find('/x/y/z'), 'deep');
    assert.equal(find('/x'), 'root');
    assert.equal(find('/x', 'A: b\r\nKnative-Serving-Tag: blue\r\n'), 'tagged');
    assert.equal(find('/x', 'Knative-Serving-Tag: green\r\n'), 'root');
  });

  it('splits by percent, and gives nothing to a split of 0', () => {
    const splits = [split('a', 20), split('b', 0), split('c', 80)];
    const [bound] = routerOf(snapshotOf({ h: [route('/', splits)] }, [])).routesOf('h') ?? [];
    assert.ok(bound !== undefined);
    const counts = new Map<string, number>();
    for (let at = 0; at < 100; at++) {
      const name = chooseSplit(bound, () => at / 100)?.backend.target.name ?? '';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(counts), { a: 20, c: 80 });
  });

  it('keeps a backend over a swap, with its queue, and drops one that nothing names', () => {
    const router = routerOf(snapshotOf({ h: [route('/', [split('a')])] }, ['a', 'old']));
    const backend = () => router.routesOf('h')?.[0]?.splits[0]?.backend;
    const before = backend();
    router.swap(snapshotOf({ h: [route('/', [split('a')])] }, ['a']));
    assert.equal(backend(), before);
    assert.deepEqual(
      [...router.backends()].map(({ target }) => target.name),
      ['a'],
    );
  });
});
