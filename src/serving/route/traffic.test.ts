import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Configuration } from '../../api/serving/configuration.ts';
import type { Revision } from '../../api/serving/revision.ts';
import type { Route } from '../../api/serving/route.ts';
import type { TrafficTarget } from '../../api/serving/traffic.ts';
import { parseDomainConfig } from '../config/domain.ts';
import { hostsOf, internalUrlOf, urlOf } from './domains.ts';
import { makeIngress } from './resources/ingress.ts';
import { resolveTraffic } from './traffic.ts';

const apiVersion = 'serving.knative.dev/v1';

function route(traffic: TrafficTarget[], labels: Record<string, string> = {}): Route {
  const metadata = { name: 'web', namespace: 'shop', labels: { 'serving.knative.dev/service': 'web', ...labels } };
  return { apiVersion, kind: 'Route', metadata, spec: { traffic } };
}

type ReadyStatus = 'True' | 'False' | 'Unknown';

function revision(name: string, ready: ReadyStatus, service = 'web'): Revision {
  return {
    apiVersion,
    kind: 'Revision',
    metadata: { name, generation: 1, labels: { 'serving.knative.dev/service': service } },
    spec: { containers: [] },
    status: { observedGeneration: 1, conditions: [{ type: 'Ready', status: ready }] },
  };
}

function configuration(latest: string | undefined, ready: ReadyStatus): Configuration {
  return {
    apiVersion,
    kind: 'Configuration',
    metadata: { name: 'web' },
    spec: { template: { spec: { containers: [] } } },
    status: { conditions: [{ type: 'Ready', status: ready }], ...(latest ? { latestReadyRevisionName: latest } : {}) },
  };
}

const world = (configurations: Configuration[], revisions: Revision[]) => ({
  configuration: (name: string) => configurations.find((c) => c.metadata.name === name),
  revision: (name: string) => revisions.find((r) => r.metadata.name === name),
});

const latest: TrafficTarget = { configurationName: 'web', latestRevision: true, percent: 100 };
const pinned: TrafficTarget = { revisionName: 'web-1', latestRevision: false, percent: 100 };

test('each share gets its revision, or the reason why there is none', () => {
  const ready = world([configuration('web-2', 'True')], [revision('web-2', 'True')]);
  assert.deepEqual(resolveTraffic(route([latest]), ready), {
    targets: [{ revisionName: 'web-2', latestRevision: true, percent: 100 }],
  });
  const problems: [name: string, target: TrafficTarget, world: ReturnType<typeof world>, problem: string[]][] = [
    [
      'no configuration',
      latest,
      world([], []),
      ['False', 'ConfigurationMissing', 'Configuration "web" referenced in traffic not found.'],
    ],
    [
      'no ready revision yet',
      latest,
      world([configuration(undefined, 'Unknown')], []),
      ['Unknown', 'RevisionMissing', 'Configuration "web" is waiting for a Revision to become ready.'],
    ],
    [
      'none will be',
      latest,
      world([configuration(undefined, 'False')], []),
      ['False', 'RevisionMissing', 'Configuration "web" does not have any ready Revision.'],
    ],
    [
      'no revision',
      pinned,
      world([], []),
      ['False', 'RevisionMissing', 'Revision "web-1" referenced in traffic not found.'],
    ],
    [
      'not ready',
      pinned,
      world([], [revision('web-1', 'Unknown')]),
      ['Unknown', 'RevisionMissing', 'Revision "web-1" is not yet ready.'],
    ],
    [
      'failed',
      pinned,
      world([], [revision('web-1', 'False')]),
      ['False', 'RevisionMissing', 'Revision "web-1" failed to become ready.'],
    ],
    [
      'of another Service',
      pinned,
      world([], [revision('web-1', 'True', 'other')]),
      ['False', 'RevisionNotOwned', 'Revision "web-1" belongs to Service "other", not Service "web".'],
    ],
  ];
  for (const [name, target, targets, [status, reason, message]] of problems) {
    assert.deepEqual(resolveTraffic(route([target]), targets), { problem: { status, reason, message } }, name);
  }
});

test('an Ingress has the hosts of the Route and of each tag, with shares and headers', () => {
  const object = route([]);
  const targets = [
    { revisionName: 'web-1', latestRevision: false, percent: 60 },
    { revisionName: 'web-2', latestRevision: true, percent: 30, tag: 'next' },
    { revisionName: 'web-1', latestRevision: false, percent: 10, tag: 'old' },
    { revisionName: 'web-3', latestRevision: false, percent: 0, tag: 'test' },
  ];
  const { spec } = makeIngress(object, targets, parseDomainConfig({}, 'localhost'));
  const shown = spec.rules?.map(({ hosts, visibility, http }) => [
    visibility,
    hosts?.join(' '),
    http?.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName}:${percent}`).join(' '),
  ]);
  assert.deepEqual(shown, [
    ['ClusterLocal', 'web.shop.svc.cluster.local web.shop.svc web.shop', 'web-1:70 web-2:30'],
    ['ExternalIP', 'web.shop.localhost', 'web-1:70 web-2:30'],
    ['ClusterLocal', 'next-web.shop.svc.cluster.local next-web.shop.svc next-web.shop', 'web-2:100'],
    ['ExternalIP', 'next-web.shop.localhost', 'web-2:100'],
    ['ClusterLocal', 'old-web.shop.svc.cluster.local old-web.shop.svc old-web.shop', 'web-1:100'],
    ['ExternalIP', 'old-web.shop.localhost', 'web-1:100'],
    ['ClusterLocal', 'test-web.shop.svc.cluster.local test-web.shop.svc test-web.shop', 'web-3:100'],
    ['ExternalIP', 'test-web.shop.localhost', 'web-3:100'],
  ]);
  assert.deepEqual(spec.rules?.[0]?.http?.paths[0]?.splits[0]?.appendHeaders, {
    'Knative-Serving-Revision': 'web-1',
    'Knative-Serving-Namespace': 'shop',
  });
});

test('a cluster-local Route has no host outside; a port of 80 is not shown', () => {
  const domains = parseDomainConfig({}, 'localhost');
  const open = hostsOf(route([]), undefined, domains);
  assert.equal(urlOf(open, 8080), 'http://web.shop.localhost:8080');
  assert.equal(urlOf(open, 80), 'http://web.shop.localhost');
  assert.equal(internalUrlOf(open), 'http://web.shop.svc.cluster.local');
  const local = hostsOf(route([], { 'networking.knative.dev/visibility': 'cluster-local' }), undefined, domains);
  assert.equal(urlOf(local, 8080), 'http://web.shop.svc.cluster.local');
});
