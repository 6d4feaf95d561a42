import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { defaultMessageLimits } from './http1/limits.ts';
import { RequestHead, readRequestHead } from './http1/request-head.ts';
import { chooseSplit, matchRoute, Router } from './router.ts';
import type { PathRoute, RouteChange, Split } from './routes/change.ts';
import { poolOf } from './testing/pool.ts';
import { targetOf } from './testing/routes.ts';

const split = (name: string, percent = 100): Split => ({ percent, target: `ns/${name}:80`, appendHeaders: {} });
const route = (prefix: string, splits: Split[], headers: PathRoute['headers'] = []): PathRoute => ({
  prefix,
  headers,
  splits,
});

function routesOf(hosts: Record<string, PathRoute[]>, names: string[]): RouteChange {
  const endpoints = [{ host: '127.0.0.1', port: 80 }];
  const targets = names.map((name) => [`ns/${name}:80`, { ...targetOf(name, 'ns'), endpoints }] as const);
  return { hosts: new Map(Object.entries(hosts)), targets: new Map(targets) };
}

/** Nothing names these any more. */
const without = (...names: string[]): RouteChange => ({
  hosts: new Map(),
  targets: new Map(names.map((name) => [`ns/${name}:80`, undefined])),
});

function requestOf(fields: string, target = '/'): RequestHead {
  const head = new RequestHead();
  readRequestHead(`GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`, head, defaultMessageLimits);
  return head;
}

function routerOf(change: RouteChange): Router {
  const router = new Router({ clock: new VirtualClock(), queueMax: 10, onDemand() {} });
  router.apply(change);
  return router;
}

describe('the router', () => {
  it('keeps whether a route is for clients of the cluster alone', () => {
    const plain = route('/', [split('r')]);
    const inside = { ...plain, isClusterLocal: true };
    const router = routerOf(
      routesOf({ plain: [plain], said: [{ ...plain, isClusterLocal: false }], inside: [inside] }, ['r']),
    );
    const found = ['plain', 'said', 'inside'].map((host) => router.routesOf(host)?.[0]?.isClusterLocal);
    assert.deepEqual(found, [false, false, true]);
  });

  const hosts: [asked: string, isFound: boolean][] = [
    ['a.localhost', true],
    ['A.LocalHost', true],
    ['a.localhost:8080', true],
    ['A.localhost:', true],
    ['b.a.localhost', false],
    ['a.localhost.', false],
    ['[::1]:80', true],
    ['[::1]', true],
    ['[::2]:80', false],
    [':80', false],
    ['b:', true],
    ['[', false],
  ];
  for (const [asked, isFound] of hosts) {
    it(`${isFound ? 'finds' : 'does not find'} the host ${asked}`, () => {
      const router = routerOf(routesOf({ 'a.localhost': [], '[::1]': [], b: [], '': [] }, []));
      assert.equal(router.routesOf(asked) !== undefined, isFound);
    });
  }

  it('takes the first route whose prefix and header fields match', () => {
    const tag = [{ name: 'knative-serving-tag', value: 'blue' }];
    const router = routerOf(
      routesOf(
        { a: [route('/x/y', [split('deep')]), route('/', [split('tagged')], tag), route('/', [split('root')])] },
        [],
      ),
    );
    const find = (target: string, fields = '') =>
      matchRoute(router.routesOf('a') ?? [], requestOf(fields, target))?.splits[0]?.backend.target.name;
    assert.equal(find('/x/y/z'), 'deep');
    assert.equal(find('/x'), 'root');
    assert.equal(find('/x', 'A: b\r\nKnative-Serving-Tag: blue\r\n'), 'tagged');
    assert.equal(find('/x', 'Knative-Serving-Tag: green\r\n'), 'root');
  });

  it('splits by percent, and gives nothing to a split of 0', () => {
    const splits = [split('a', 20), split('b', 0), split('c', 80)];
    const [bound] = routerOf(routesOf({ h: [route('/', splits)] }, [])).routesOf('h') ?? [];
    assert.ok(bound !== undefined);
    const counts = new Map<string, number>();
    for (let at = 0; at < 100; at++) {
      const name = chooseSplit(bound, () => at / 100)?.backend.target.name ?? '';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(counts), { a: 20, c: 80 });
  });

  it('keeps a backend over a change, with its queue, and drops one that nothing names', () => {
    const router = routerOf(routesOf({ h: [route('/', [split('a')])] }, ['a', 'old']));
    const backend = () => router.routesOf('h')?.[0]?.splits[0]?.backend;
    const before = backend();
    router.apply(routesOf({ h: [route('/', [split('a')])] }, ['a']));
    router.apply(without('old'));
    assert.equal(backend(), before);
    assert.deepEqual(
      [...router.backends()].map(({ target }) => target.name),
      ['a'],
    );
  });

  it('splits evenly when the percents do not sum to 100, and to the last one at the very end', () => {
    const splits = [split('a', 1), split('b', 1)];
    const [bound] = routerOf(routesOf({ h: [route('/', splits)] }, [])).routesOf('h') ?? [];
    assert.ok(bound !== undefined);
    const chosen = [0, 0.49, 0.5, 0.99, 1].map((random) => chooseSplit(bound, () => random)?.backend.target.name);
    assert.deepEqual(chosen, ['a', 'a', 'b', 'b', 'b']);
  });

  it('draws nothing where there is one split', () => {
    const [bound] = routerOf(routesOf({ h: [route('/', [split('a', 0), split('b')])] }, [])).routesOf('h') ?? [];
    assert.ok(bound !== undefined);
    assert.equal(bound.splits.length, 1, 'a split of 0 is none');
    const random = () => assert.fail('drawn');
    assert.equal(chooseSplit(bound, random)?.backend.target.name, 'b');
  });

  it('takes a route only if all its header fields match', () => {
    const both = [
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
    ];
    const routes = routerOf(routesOf({ h: [route('/', [split('r')], both)] }, [])).routesOf('h') ?? [];
    const found = ['A: 1\r\nB: 2\r\n', 'A: 1\r\n', 'B: 2\r\n', ''].map((fields) =>
      matchRoute(routes, requestOf(fields)),
    );
    assert.deepEqual(
      found.map((one) => one !== undefined),
      [true, false, false, false],
    );
  });

  it('matches what goes on in words of the gateway by what the client said, and no field that is missing', () => {
    const isMatched = (name: string, value: string, fields: string) => {
      const router = routerOf(routesOf({ h: [route('/', [split('r')], [{ name, value }])] }, []));
      return matchRoute(router.routesOf('h') ?? [], requestOf(fields)) !== undefined;
    };
    const said = {
      'x-request-id': 'mine',
      'x-forwarded-for': '1.2.3.4',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'b',
      forwarded: 'for=1.2.3.4',
      traceparent: '00-xyz',
    };
    for (const [name, value] of Object.entries(said)) {
      assert.ok(isMatched(name, value, `${name}: ${value}\r\n`), name);
      assert.ok(!isMatched(name, value, `${name}: unknown\r\n`), name);
      assert.ok(!isMatched(name, '', ''), name);
    }
    assert.ok(isMatched('host', 'a', ''));
    assert.ok(isMatched('upgrade', 'websocket', 'Connection: upgrade\r\nUpgrade: websocket\r\n'));
    assert.ok(isMatched('constructor', 'x', 'Constructor: x\r\n'));
  });

  it('binds the routes that hosts share once', () => {
    const routes = [route('/', [split('a')])];
    const router = routerOf(routesOf({ h: routes, i: routes }, []));
    assert.equal(router.routesOf('h'), router.routesOf('i'));
  });

  it('spells out the fields of a split, and names those that a client could send', () => {
    const appendHeaders = { 'Knative-Serving-Revision': 'a', 'X-Of-Mine': 'b' };
    const [bound] = routerOf(routesOf({ h: [route('/', [{ ...split('a'), appendHeaders }])] }, [])).routesOf('h') ?? [];
    const [one] = bound?.splits ?? [];
    assert.equal(one?.appendFields, 'Knative-Serving-Revision: a\r\nX-Of-Mine: b\r\n');
    assert.deepEqual([...(one?.overriddenNames ?? [])], ['x-of-mine']);
  });

  it('takes over what a change says of a target, and leaves what it does not name', () => {
    const hosts = { h: [route('/', [split('a')])] };
    const router = routerOf(routesOf(hosts, ['a', 'b']));
    const ports = () =>
      [...router.backends()].map(({ target }) => [target.name, target.endpoints.map(({ port }) => port)]);
    assert.deepEqual(ports(), [
      ['a', [80]],
      ['b', [80]],
    ]);
    const routes = router.routesOf('h');
    const endpoints = [{ host: '127.0.0.1', port: 81 }];
    router.apply({ hosts: new Map(), targets: new Map([['ns/a:80', { ...targetOf('a', 'ns'), endpoints }]]) });
    assert.deepEqual(ports(), [
      ['a', [81]],
      ['b', [80]],
    ]);
    assert.equal(router.routesOf('h'), routes, 'not made anew');
  });

  it('keeps a backend that is routed to though nothing is known of it', () => {
    const hosts = { h: [route('/', [split('a')])] };
    const router = routerOf(routesOf(hosts, []));
    const [before] = router.backends();
    router.apply(routesOf(hosts, []));
    assert.deepEqual([...router.backends()], [before]);
  });

  it('drains a backend that nothing names, and drops it after its last request', () => {
    const router = routerOf(routesOf({}, ['old']));
    const [old] = router.backends();
    old?.counters.arrive(0);
    router.apply(without('old'));
    assert.deepEqual([...router.backends()], [old]);
    assert.equal(old?.hasReadyEndpoints, false);
    old?.counters.end(0, 0, 0);
    router.apply(routesOf({}, []));
    assert.deepEqual([...router.backends()], []);
  });

  it('has a backend that drained for whoever names it again', () => {
    const router = routerOf(routesOf({}, ['old']));
    const [old] = router.backends();
    old?.counters.arrive(0);
    router.apply(without('old'));
    router.apply(routesOf({ h: [route('/', [split('old')])] }, []));
    assert.deepEqual([...router.backends()], [old], 'once');
    old?.counters.end(0, 0, 0);
    router.apply(without('other'));
    assert.deepEqual([...router.backends()], [old]);
  });

  it('forgets a host that nobody has any more, and no other', () => {
    const router = routerOf(routesOf({ h: [], i: [] }, []));
    router.apply({ hosts: new Map([['h', undefined]]), targets: new Map() });
    assert.deepEqual([router.routesOf('h'), router.routesOf('i')], [undefined, []]);
  });

  it('closes every backend', () => {
    const router = routerOf(routesOf({}, ['a']));
    const [endpoint] = [...router.backends()].flatMap((backend) => [...backend.endpoints()]);
    let closed = 0;
    if (endpoint !== undefined) endpoint.pool = poolOf(() => closed++);
    router.close();
    assert.equal(closed, 1);
  });
});
