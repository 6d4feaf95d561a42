import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type EndpointConditions,
  type EndpointSlice,
  EndpointSliceKind,
  serviceNameLabel,
} from '../api/discovery/endpoint-slice.ts';
import { apiVersionOf } from '../api/kind.ts';
import { type Ingress, IngressKind, type IngressPath, ingressClassAnnotation } from '../api/networking/ingress.ts';
import { type Revision, RevisionKind } from '../api/serving/revision.ts';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { buildSnapshot } from './build-snapshot.ts';
import { Router } from './router.ts';

function ingress(
  name: string,
  hosts: string[],
  paths: IngressPath[],
  more: Partial<Ingress['metadata']> = {},
): Ingress {
  return {
    apiVersion: apiVersionOf(IngressKind),
    kind: 'Ingress',
    metadata: { name, namespace: 'ns', creationTimestamp: '2026-01-01T00:00:00Z', ...more },
    spec: { rules: [{ hosts, http: { paths } }] },
  };
}

const to = (serviceName: string, percent?: number) => ({
  serviceNamespace: 'ns',
  serviceName,
  servicePort: 80,
  ...(percent === undefined ? {} : { percent }),
});

function slice(
  service: string,
  addresses: [address: string, conditions?: EndpointConditions][],
  port = 8080,
): EndpointSlice {
  return {
    apiVersion: apiVersionOf(EndpointSliceKind),
    kind: 'EndpointSlice',
    metadata: { name: `${service}-x`, namespace: 'ns', labels: { [serviceNameLabel]: service } },
    addressType: 'IPv4',
    ports: [
      { name: 'metrics', port: 9 },
      { name: 'http', port },
    ],
    endpoints: addresses.map(([address, conditions]) => ({ addresses: [address], conditions: conditions ?? {} })),
  };
}

function revision(name: string, spec: Partial<Revision['spec']>): Revision {
  const metadata = { name, namespace: 'ns' };
  return { apiVersion: apiVersionOf(RevisionKind), kind: 'Revision', metadata, spec: { containers: [], ...spec } };
}

describe('a snapshot', () => {
  it('has each host, with its paths longest first and header matches before plain ones', () => {
    const paths = [
      { splits: [to('r')] },
      { headers: { 'Knative-Serving-Tag': { exact: 'b' } }, splits: [to('t')] },
      { path: '/long', rewriteHost: 'x', splits: [to('l')] },
    ];
    const { hosts } = buildSnapshot([ingress('i', ['A.example', 'b'], paths)], [], []);
    assert.deepEqual([...hosts.keys()], ['a.example', 'b']);
    assert.deepEqual(
      hosts
        .get('b')
        ?.map(({ prefix, headers, rewriteHost, splits }) => [prefix, headers, rewriteHost, splits[0]?.revision]),
      [
        ['/long', [], 'x', 'ns/l'],
        ['/', [{ name: 'knative-serving-tag', value: 'b' }], undefined, 'ns/t'],
        ['/', [], undefined, 'ns/r'],
      ],
    );
  });

  it('gives a host that two Ingresses name to the older one, and none to another class', () => {
    const young = ingress('a', ['h'], [{ splits: [to('young')] }], { creationTimestamp: '2026-01-02T00:00:00Z' });
    const old = ingress('b', ['h'], [{ splits: [to('old')] }]);
    const other = ingress('c', ['g'], [{ splits: [to('other')] }], {
      annotations: { [ingressClassAnnotation]: 'istio' },
    });
    const { hosts } = buildSnapshot([young, old, other], [], []);
    assert.equal(hosts.get('h')?.[0]?.splits[0]?.revision, 'ns/old');
    assert.equal(hosts.has('g'), false);
  });

  it("joins a path's and a split's headers, and reads a missing percent of a single split as 100", () => {
    const path = { appendHeaders: { A: '1', B: '1' }, splits: [{ ...to('r'), appendHeaders: { B: '2' } }] };
    const { hosts } = buildSnapshot([ingress('i', ['h'], [path])], [], []);
    assert.deepEqual(hosts.get('h')?.[0]?.splits, [
      { percent: 100, revision: 'ns/r', appendHeaders: { A: '1', B: '2' } },
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
    const { revisions } = buildSnapshot([ingress('i', ['h'], [{ splits: [to('r', 100)] }])], slices, [
      revision('r', limits),
      revision('not-routed', {}),
    ]);
    assert.deepEqual([...revisions.keys()], ['ns/r']);
    assert.deepEqual(revisions.get('ns/r'), {
      namespace: 'ns',
      name: 'r',
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

  it('routes to a revision that it has not seen yet by the usual limits', () => {
    const { revisions } = buildSnapshot(
      [ingress('i', ['h'], [{ splits: [to('r')] }])],
      [slice('r', [['10.0.0.1']])],
      [],
    );
    assert.equal(revisions.get('ns/r')?.timeoutMs, 300_000);
    assert.equal(revisions.get('ns/r')?.endpoints.length, 1);
  });

  const wrong: [name: string, path: unknown, why: RegExp][] = [
    ['a field line in a header value', { splits: [{ ...to('b'), appendHeaders: { A: 'x\r\nB: y' } }] }, /cannot stand/],
    ['a header name that is none', { splits: [to('b')], appendHeaders: { 'A B': 'x' } }, /no header name/],
    ['a header that frames', { splits: [to('b')], appendHeaders: { 'content-Length': '5' } }, /frames or routes/],
    ['a percent that is none', { splits: [{ ...to('b'), percent: 'many' }] }, /percent is many/],
    ['a negative percent', { splits: [to('b', -5), to('c', 105)] }, /percent is -5/],
    ['a host to rewrite to that is none', { splits: [to('b')], rewriteHost: 'a\r\nX: y' }, /rewriteHost is no host/],
    ['no splits', {}, /splits/],
    ['a split without a name', { splits: [{ serviceNamespace: 'ns' }] }, /serviceName is not text/],
  ];
  for (const [name, path, why] of wrong) {
    it(`leaves a path with ${name} without a revision, says so, and keeps the others`, () => {
      const paths = [{ path: '/bad', ...(path as object) }, { splits: [to('good')] }] as IngressPath[];
      const { hosts, problems } = buildSnapshot([ingress('one', ['h'], paths)], [], []);
      const shown = hosts.get('h')?.map(({ prefix, splits }) => [prefix, splits.map(({ revision }) => revision)]);
      assert.deepEqual(shown, [
        ['/bad', []],
        ['/', ['ns/good']],
      ]);
      assert.equal(problems?.length, 1);
      assert.equal(problems?.[0]?.object, 'Ingress ns/one');
      assert.match(problems?.[0]?.why ?? '', why);
      assert.match(problems?.[0]?.why ?? '', /^spec\.rules\[0\]\.http\.paths\[0\]: /);
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
      const { hosts } = buildSnapshot([of(spec), good], [], []);
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
    const { revisions, problems } = buildSnapshot([ingress('one', ['h'], paths)], slices, [revision]);
    const target = revisions.get('ns/a');
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
        problems?.some((problem) => why.test(problem.why)),
        String(why),
      );
    }
  });

  it('has one list of routes for all hosts of a rule, however many there are of both', () => {
    const names = Array.from({ length: 5_000 }, (_, at) => `h${at}`);
    const paths = Array.from({ length: 1_000 }, (_, at) => ({ path: `/${at}`, splits: [to('a')] }));
    const snapshot = buildSnapshot([ingress('one', names, paths)], [], []);
    assert.equal(new Set(snapshot.hosts.values()).size, 1);
    const router = new Router({ clock: new VirtualClock(), queueMax: 1, onDemand() {} });
    router.swap(snapshot);
    assert.equal(router.routesOf('h1')?.length, 1_000);
    assert.equal(router.routesOf('h1'), router.routesOf('h4999'));
    router.close();
  });
});
