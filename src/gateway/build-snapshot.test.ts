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
import { buildSnapshot } from './build-snapshot.ts';

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
      slice('r-private', [
        ['10.0.0.1'],
        ['10.0.0.2', { ready: false }],
        ['10.0.0.3', { ready: true, terminating: true }],
        ['10.0.0.4', { ready: true }],
      ]),
      slice('r-private', [['10.0.0.5']], 9090),
      slice('r', [['10.0.0.6']]),
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
      [slice('r-private', [['10.0.0.1']])],
      [],
    );
    assert.equal(revisions.get('ns/r')?.timeoutMs, 300_000);
    assert.equal(revisions.get('ns/r')?.endpoints.length, 1);
  });
});
