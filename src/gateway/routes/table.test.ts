import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EndpointSlice } from '../../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { type Ingress, type IngressPath, ingressClassAnnotation } from '../../api/networking/ingress.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { Router } from '../router.ts';
import type { RouteChange } from './change.ts';
import { ingress, revision, service, slice, TableWorld, to } from './testing/table-world.ts';

describe('the route table', () => {
  it('has each host, with its paths longest first and header matches before plain ones', () => {
    const paths = [
      { splits: [to('r')] },
      { headers: { 'Knative-Serving-Tag': { exact: 'b' } }, splits: [to('t')] },
      { path: '/long', rewriteHost: 'x', splits: [to('l')] },
    ];
    const { hosts } = new TableWorld(ingress('i', ['A.example', 'b'], paths));
    assert.deepEqual([...hosts.keys()], ['a.example', 'b']);
    assert.deepEqual(
      hosts
        .get('b')
        ?.map(({ prefix, headers, rewriteHost, splits }) => [prefix, headers, rewriteHost, splits[0]?.target]),
      [
        ['/long', [], 'x', 'ns/l:80'],
        ['/', [{ name: 'knative-serving-tag', value: 'b' }], undefined, 'ns/t:80'],
        ['/', [], undefined, 'ns/r:80'],
      ],
    );
  });

  it('gives a host that two Ingresses name to the older one, and none to another class', () => {
    const young = ingress('a', ['h'], [{ splits: [to('young')] }], { creationTimestamp: '2026-01-02T00:00:00Z' });
    const old = ingress('b', ['h'], [{ splits: [to('old')] }]);
    const other = ingress('c', ['g'], [{ splits: [to('other')] }], {
      annotations: { [ingressClassAnnotation]: 'istio' },
    });
    const world = new TableWorld(young, old, other);
    const owner = () => world.hosts.get('h')?.[0]?.splits[0]?.target;
    assert.equal(owner(), 'ns/old:80');
    assert.equal(world.hosts.has('g'), false);
    world.remove(old);
    assert.equal(owner(), 'ns/young:80', 'whoever is next has it then');
    world.put(old);
    assert.equal(owner(), 'ns/old:80');
    world.remove(old);
    world.remove(young);
    assert.deepEqual([world.hosts.size, world.targets.size], [0, 0]);
  });

  it("joins a path's and a split's headers, and reads a missing percent of a single split as 100", () => {
    const path = { appendHeaders: { A: '1', B: '1' }, splits: [{ ...to('r'), appendHeaders: { B: '2' } }] };
    const { hosts } = new TableWorld(ingress('i', ['h'], [path]));
    assert.deepEqual(hosts.get('h')?.[0]?.splits, [
      { percent: 100, target: 'ns/r:80', appendHeaders: { A: '1', B: '2' } },
    ]);
  });

  it("has a routed revision's limits in milliseconds, and the addresses that are ready and stay", () => {
    const slices = [
      slice('r', [
        ['10.0.0.1'],
        ['10.0.0.2', { ready: false }],
        ['10.0.0.3', { ready: true, terminating: true }],
        ['10.0.0.4', { ready: true }],
      ]),
      slice('r', [['10.0.0.5']], 9090),
      slice('other', [['10.0.0.6']]),
    ];
    const limits = {
      containerConcurrency: 2,
      timeoutSeconds: 5,
      responseStartTimeoutSeconds: 3,
      idleTimeoutSeconds: 1,
    };
    const world = new TableWorld(ingress('i', ['h'], [{ splits: [to('r', 100)] }]), service('r', 'r'));
    world.put(revision('r', limits), revision('not-routed', {}), service('not-routed', 'not-routed'));
    world.putSlices(...slices);
    assert.deepEqual([...world.targets.keys()], ['ns/r:80']);
    assert.deepEqual(world.targets.get('ns/r:80'), {
      namespace: 'ns',
      name: 'r',
      revision: 'r',
      containerConcurrency: 2,
      timeoutMs: 5000,
      responseStartTimeoutMs: 3000,
      idleTimeoutMs: 1000,
      endpoints: [
        { host: '10.0.0.1', port: 8080 },
        { host: '10.0.0.4', port: 8080 },
        { host: '10.0.0.5', port: 9090 },
      ],
    });
  });

  it('needs no revision: a Service has its ready addresses, and the usual limits', () => {
    const world = new TableWorld(ingress('i', ['h'], [{ splits: [to('plain')] }]));
    assert.deepEqual(world.targets.get('ns/plain:80')?.endpoints, [], 'a Service that is not there yet');
    world.put(service('plain'));
    world.putSlices(slice('plain', [['10.0.0.1']]));
    const { timeoutMs, containerConcurrency, revision, endpoints } = world.targets.get('ns/plain:80') ?? {};
    assert.deepEqual([timeoutMs, containerConcurrency, revision], [300_000, 0, undefined]);
    assert.deepEqual(endpoints, [{ host: '10.0.0.1', port: 8080 }]);
  });

  it('has the usual limits for a revision that it has not seen yet, and its own from then on', () => {
    const world = new TableWorld(ingress('i', ['h'], [{ splits: [to('r')] }]), service('r', 'r'));
    assert.equal(world.targets.get('ns/r:80')?.timeoutMs, 300_000);
    assert.equal(world.targets.get('ns/r:80')?.revision, 'r');
    world.put(revision('r', { timeoutSeconds: 7 }));
    assert.equal(world.targets.get('ns/r:80')?.timeoutMs, 7_000);
  });

  it("finds a Service's port by number and by name, and the port of that name in its slices", () => {
    const splits = [80, 'admin', 82].map((servicePort) => [{ ...to('s'), servicePort }]);
    const paths = splits.map((one, at) => ({ path: `/${at}`, splits: one }));
    const ports = [
      { name: 'http', port: 80, targetPort: 'web' },
      { name: 'admin', port: 81, targetPort: 9 },
    ];
    const slicePorts = [
      { name: 'admin', port: 9009 },
      { name: 'http', port: 8008 },
    ];
    const world = new TableWorld(ingress('i', ['h'], paths), service('s', undefined, ports));
    world.putSlices({ ...slice('s', [['10.0.0.1']]), ports: slicePorts });
    const portsOf = (key: string) => world.targets.get(key)?.endpoints.map(({ port }) => port);
    assert.deepEqual(portsOf('ns/s:80'), [8008]);
    assert.deepEqual(portsOf('ns/s:81'), [9009]);
    assert.deepEqual(portsOf('ns/s:82'), []);
    assert.deepEqual(world.problems, [{ object: 'Service ns/s', why: 'spec: it has no port 82' }]);
  });

  it('speaks HTTP/2 to ports whose slices say so', () => {
    const world = new TableWorld(ingress('i', ['h'], [{ splits: [to('s')] }]), service('s'));
    const [, port] = slice('s', []).ports ?? [];
    world.putSlices({ ...slice('s', [['10.0.0.1']]), ports: [{ ...port, appProtocol: 'kubernetes.io/h2c' }] });
    assert.equal(world.targets.get('ns/s:80')?.endpoints[0]?.protocol, 'h2c');
    world.putSlices({ ...slice('s', [['10.0.0.1']]), ports: [{ ...port, appProtocol: 'http' }] });
    assert.equal(world.targets.get('ns/s:80')?.endpoints[0]?.protocol, undefined);
  });

  it('has one target for a port, whoever names it how, from when its Service is known, and as that changes', () => {
    const named = (servicePort: number | string) => [{ splits: [{ ...to('s'), servicePort }] }];
    const byNumber = ingress('number', ['n'], named(80));
    const byName = ingress('name', ['m'], named('http'));
    const world = new TableWorld(byNumber, byName);
    const targetOf = (host: string) => world.hosts.get(host)?.[0]?.splits[0]?.target;
    const keys = () => [...world.targets.keys()].sort();
    assert.deepEqual([targetOf('n'), targetOf('m')], ['ns/s:80', 'ns/s:http']);
    world.put(service('s'));
    assert.deepEqual([targetOf('n'), targetOf('m'), keys()], ['ns/s:80', 'ns/s:80', ['ns/s:80']]);
    world.put(service('s', undefined, [{ name: 'http', port: 81 }]));
    assert.deepEqual([targetOf('n'), targetOf('m'), keys()], ['ns/s:80', 'ns/s:81', ['ns/s:80', 'ns/s:81']]);
    world.remove(byName);
    assert.deepEqual(keys(), ['ns/s:80']);
    const [change] = world.put(service('s'));
    assert.deepEqual([...(change?.hosts.keys() ?? [])], []);
    assert.equal(world.looks, 1, 'at the Service: no Ingress names its port by name any more');
  });

  it('sends to the name that an ExternalName stands for, at the port of the split', () => {
    const of = (externalName: string) => ({
      ...service('e'),
      spec: { type: 'ExternalName' as const, externalName },
    });
    const world = new TableWorld(ingress('i', ['h'], [{ splits: [to('e')] }]), of('elsewhere.example'));
    assert.deepEqual(world.targets.get('ns/e:80')?.endpoints, [{ host: 'elsewhere.example', port: 80 }]);
    world.put(of('no name/at all'));
    assert.deepEqual(world.targets.get('ns/e:80')?.endpoints, []);
    assert.match(world.problems[0]?.why ?? '', /externalName is no host: "no name/);
  });

  it('tells of a problem once, and counts those that there are', () => {
    const bad = ingress('i', ['h'], [{ splits: [to('a', -1)] }, { splits: [to('b', -2)] }]);
    const world = new TableWorld(bad, service('a'));
    world.put(bad);
    assert.deepEqual([world.problems.length, world.problemCount], [2, 2]);
    world.put(ingress('i', ['h'], [{ splits: [to('a')] }]));
    assert.deepEqual([world.problems.length, world.problemCount], [2, 0]);
    world.putSlices(slice('a', [['no address']]));
    assert.deepEqual([world.problems.length, world.problemCount], [3, 1]);
    world.remove(bad);
    assert.equal(world.problemCount, 0);
  });

  const wrong: [name: string, path: unknown, why: RegExp][] = [
    ['a field line in a header value', { splits: [{ ...to('b'), appendHeaders: { A: 'x\r\nB: y' } }] }, /cannot stand/],
    ['a header name that is none', { splits: [to('b')], appendHeaders: { 'A B': 'x' } }, /no header name/],
    ['a header that frames', { splits: [to('b')], appendHeaders: { 'content-Length': '5' } }, /frames or routes/],
    ['a percent that is none', { splits: [{ ...to('b'), percent: 'many' }] }, /percent is many/],
    ['a negative percent', { splits: [to('b', -5), to('c', 105)] }, /percent is -5/],
    ['a host to rewrite to that is none', { splits: [to('b')], rewriteHost: 'a\r\nX: y' }, /rewriteHost is no host/],
    ['no splits', {}, /splits/],
    ['a split without a port', { splits: [{ serviceNamespace: 'ns', serviceName: 'b' }] }, /servicePort is neither/],
    ['a split without a name', { splits: [{ serviceNamespace: 'ns' }] }, /serviceName is not text/],
  ];
  for (const [name, path, why] of wrong) {
    it(`leaves a path with ${name} without a target, says so, and keeps the others`, () => {
      const paths = [{ path: '/bad', ...(path as object) }, { splits: [to('good')] }] as IngressPath[];
      const { hosts, problems } = new TableWorld(ingress('one', ['h'], paths));
      const shown = hosts.get('h')?.map(({ prefix, splits }) => [prefix, splits.map(({ target }) => target)]);
      assert.deepEqual(shown, [
        ['/bad', []],
        ['/', ['ns/good:80']],
      ]);
      assert.equal(problems.length, 1);
      assert.equal(problems[0]?.object, 'Ingress ns/one');
      assert.match(problems[0]?.why ?? '', why);
      assert.match(problems[0]?.why ?? '', /^spec\.rules\[0\]\.http\.paths\[0\]: /);
    });
  }

  it('leaves out paths, hosts, rules and whole Ingresses of another shape, and keeps the rest', () => {
    const good = ingress('good', ['h'], [{ splits: [to('a')] }]);
    const of = (spec: unknown) => ({ ...good, metadata: { ...good.metadata, name: 'bad' }, spec }) as Ingress;
    const shapes: unknown[] = [
      null,
      5,
      { rules: {} },
      { rules: 'text' },
      { rules: [null, 5, { http: 5 }, { http: { paths: {} } }, { hosts: 'h', http: null }, { hosts: [null, 7, {}] }] },
      { rules: [{ hosts: ['x'], http: { paths: [null, 5, { path: 7 }, { headers: { A: {} }, splits: [] }] } }] },
    ];
    for (const spec of shapes) {
      const { hosts } = new TableWorld(of(spec), good);
      assert.equal(hosts.get('h')?.length, 1, JSON.stringify(spec));
    }
  });

  it('leaves out addresses that are no IP addresses, ports that are none, and limits that are no numbers', () => {
    const paths = [{ splits: [to('a')] }];
    const slices = [
      slice('a', [['10.0.0.1'], ['evil.example'], ['::1'], ['/var/run/x.sock'], ['']]),
      slice('a', [['10.0.0.2']], 70_000),
      slice('a', [['10.0.0.3']], -1),
      slice('a', [['10.0.0.4']], 1.5),
      { ...slice('a', []), endpoints: null } as unknown as EndpointSlice,
      { ...slice('a', []), endpoints: [null, {}, { addresses: 'x' }] } as unknown as EndpointSlice,
    ];
    const bad = { timeoutSeconds: Number.NaN, containerConcurrency: 'many', idleTimeoutSeconds: -1 };
    const revision = {
      apiVersion: apiVersionOf(RevisionKind),
      kind: 'Revision',
      metadata: { name: 'a', namespace: 'ns' },
      spec: bad,
    } as unknown as Revision;
    const world = new TableWorld(ingress('one', ['h'], paths), revision, service('a', 'a'));
    world.putSlices(...slices);
    const { problems } = world;
    const target = world.targets.get('ns/a:80');
    assert.deepEqual(
      target?.endpoints.map(({ host }) => host),
      ['10.0.0.1', '::1'],
    );
    assert.deepEqual([target?.timeoutMs, target?.containerConcurrency, target?.idleTimeoutMs], [300_000, 0, 0]);
    for (const why of [
      /"evil.example" is no IP/,
      /70000 is no port/,
      /-1 is no port/,
      /1.5 is no port/,
      /timeoutSec/,
    ]) {
      assert.ok(
        problems.some((problem) => why.test(problem.why)),
        String(why),
      );
    }
  });

  it('has one list of routes for all hosts of a rule, however many there are of both', () => {
    const names = Array.from({ length: 5_000 }, (_, at) => `h${at}`);
    const paths = Array.from({ length: 1_000 }, (_, at) => ({ path: `/${at}`, splits: [to('a')] }));
    const world = new TableWorld();
    const [change] = world.put(ingress('one', names, paths));
    assert.equal(new Set(world.hosts.values()).size, 1);
    const router = new Router({ clock: new VirtualClock(), queueMax: 1, onDemand() {} });
    if (change) router.apply(change);
    assert.equal(router.routesOf('h1')?.length, 1_000);
    assert.equal(router.routesOf('h1'), router.routesOf('h4999'));
    router.close();
  });

  it('keeps count of who names a Service while what bounds its requests cannot be read', () => {
    const world = new TableWorld();
    const one = ingress('one', ['h'], [{ splits: [to('a'), to('b')] }]);
    world.fault = new Error('a fault');
    world.put(service('a'), service('b'), one);
    assert.deepEqual([...world.hosts.keys()], ['h']);
    assert.deepEqual(
      [...world.targets.values()].flatMap(({ endpoints }) => endpoints),
      [],
    );
    assert.deepEqual(world.problems[0], { object: 'Service ns/a', why: 'a fault' });
    world.fault = undefined;
    world.putSlices(slice('a', [['10.0.0.1']]));
    assert.deepEqual(world.targets.get('ns/a:80')?.endpoints, [{ host: '10.0.0.1', port: 8080 }]);
    world.put(one);
    world.remove(one);
    assert.deepEqual([world.hosts.size, world.targets.size], [0, 0]);
  });

  describe('of two thousand services', () => {
    const names = Array.from({ length: 2_000 }, (_, at) => `s${at}`);
    const ingressOf = (name: string, more: Partial<Ingress['metadata']> = {}) =>
      ingress(name, [`${name}.internal`, `${name}.example`], [{ splits: [to(name)] }], more);
    const all = () => [...names.map((name) => ingressOf(name)), ...names.map((name) => service(name, name))];
    const sizesOf = (changes: RouteChange[]) => changes.map(({ hosts, targets }) => [hosts.size, targets.size]);

    it('looks at the one that changes, and tells of that one only', () => {
      const world = new TableWorld();
      world.put(...all());
      assert.deepEqual([world.hosts.size, world.targets.size], [4_000, 2_000]);
      const looksAtOne = (changes: RouteChange[], sizes: number[][]) => {
        assert.deepEqual(sizesOf(changes), sizes);
        assert.ok(world.looks <= 2, `${world.looks} looks`);
      };
      looksAtOne(world.putSlices(slice('s7', [['10.0.0.1']])), [[0, 1]]);
      looksAtOne(world.put(ingressOf('s7', { labels: { a: 'b' } })), [[2, 0]]);
      looksAtOne(world.put(revision('s7', {})), [[0, 1]]);
      looksAtOne(world.put(service('s7', 's7')), [[0, 1]]);
      looksAtOne(world.remove(ingressOf('s7')), [[2, 1]]);
      assert.deepEqual([world.hosts.size, world.targets.size], [3_998, 1_999]);
      looksAtOne(world.put(service('s7', 's7')), []);
    });

    it('looks at each a few times when all are new, in pieces of the size that is asked for', () => {
      const world = new TableWorld();
      world.pieceSize = 32;
      const pieces = world.put(...all());
      assert.ok(pieces.length <= 2 * Math.ceil(2_000 / 32), `${pieces.length} pieces`);
      assert.ok(pieces.every(({ hosts, targets }) => hosts.size <= 64 && targets.size <= 32));
      assert.ok(world.looks <= 4 * 2_000, `${world.looks} looks`);
      assert.deepEqual([world.hosts.size, world.targets.size], [4_000, 2_000]);
    });
  });
});
