import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeploymentKind } from '../../../../api/apps/deployment.ts';
import { type CoreEvent, EventKind } from '../../../../api/core/event.ts';
import { NodeKind } from '../../../../api/core/node.ts';
import { type Pod, PodKind } from '../../../../api/core/pod.ts';
import { CoreServiceKind } from '../../../../api/core/service.ts';
import type { Kind } from '../../../../api/kind.ts';
import type { KubeObject } from '../../../../api/meta.ts';
import { ServiceKind } from '../../../../api/serving/service.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { builtinStrategies } from '../../strategies/builtin.ts';
import { summarizePod } from '../../strategies/pod-status.ts';
import type { Strategy } from '../../strategy.ts';
import { ageText, durationText } from './age.ts';
import { columnsOf } from './columns.ts';
import { renderTable } from './render.ts';

const now = Date.UTC(2026, 0, 2);
const second = 1000;
const hour = 3600 * second;
const day = 24 * hour;

const ages: [number, string][] = [
  [-5 * second, '<invalid>'],
  [-1 * second, '0s'],
  [0, '0s'],
  [119 * second, '119s'],
  [120 * second, '2m'],
  [200 * second, '3m20s'],
  [600 * second, '10m'],
  [179 * 60 * second, '179m'],
  [3 * hour, '3h'],
  [3 * hour + 60 * second, '3h1m'],
  [47 * hour, '47h'],
  [50 * hour, '2d2h'],
  [8 * day, '8d'],
  [400 * day, '400d'],
  [800 * day, '2y70d'],
  [3000 * day, '8y'],
];
for (const [duration, text] of ages) {
  test(`${duration / second} seconds read as ${text}`, () => assert.equal(durationText(duration), text));
}

test('an absent time reads as unknown', () => assert.equal(ageText(undefined, now), '<unknown>'));

const pod = (status: Pod['status'], extra: Partial<Pod> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'a' }, { name: 'b' }] },
  ...extra,
  ...(status && { status }),
});
const container = (state: object, ready = false, restartCount = 0, lastState = {}) => ({
  ...{ name: 'a', image: '', imageID: '', ready, restartCount, state, lastState },
});
const up = { running: { startedAt: '2026-01-01T00:00:00Z' } };
const waits = { waiting: { reason: 'PodInitializing' } };
const completed = { terminated: { exitCode: 0, reason: 'Completed' } };

type Row = [string, Pod, { ready: string; status: string; restarts: string }];
const pods: Row[] = [
  ['a pod that waits', pod({ phase: 'Pending' }), { ready: '0/2', status: 'Pending', restarts: '0' }],
  [
    'a pod that runs',
    pod({ phase: 'Running', containerStatuses: [container(up, true), container(up, true)] }),
    { ready: '2/2', status: 'Running', restarts: '0' },
  ],
  [
    'a container that crashes says so, with its restarts and the last one',
    pod({
      phase: 'Running',
      containerStatuses: [
        container({ waiting: { reason: 'CrashLoopBackOff' } }, false, 3, {
          terminated: { exitCode: 1, finishedAt: '2026-01-01T23:55:00Z' },
        }),
        container(up, true),
      ],
    }),
    { ready: '1/2', status: 'CrashLoopBackOff', restarts: '3 (5m ago)' },
  ],
  [
    'an exit without a reason shows its code',
    pod({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 3 } })] }),
    { ready: '0/2', status: 'ExitCode:3', restarts: '0' },
  ],
  [
    'a signal is shown',
    pod({ phase: 'Failed', containerStatuses: [container({ terminated: { exitCode: 137, signal: 9 } })] }),
    { ready: '0/2', status: 'Signal:9', restarts: '0' },
  ],
  [
    'one container done and one running, not ready',
    pod({ phase: 'Running', containerStatuses: [container(completed), container(up, true)] }),
    { ready: '1/2', status: 'NotReady', restarts: '0' },
  ],
  [
    'a pod that is being deleted',
    pod({ phase: 'Running' }, { metadata: { name: 'p', deletionTimestamp: '2026-01-01T00:00:00Z' } }),
    { ready: '0/2', status: 'Terminating', restarts: '0' },
  ],
  ...(
    [
      ['a sidecar that runs counts with the rest', [true, true, up], [up, true], '2/2', 'Running', '2'],
      ['a sidecar that has not started holds the pod up', [false, false, up], [waits, false], '0/2', 'Init:0/2', '2'],
      [
        'a sidecar that runs before another init container',
        [true, true, up, up],
        [waits, false],
        '1/2',
        'Init:1/2',
        '2',
      ],
    ] as const
  ).map(
    ([name, [started, ready, state, second = completed], [main, isReady], wanted, status, restarts]) =>
      [
        name,
        pod(
          {
            phase: 'Running',
            initContainerStatuses: [
              { ...container(state, ready, 2), name: 'side', started },
              { ...container(second), name: 'init' },
            ],
            containerStatuses: [container(main, isReady)],
          },
          {
            spec: {
              containers: [{ name: 'a' }],
              initContainers: [{ name: 'side', restartPolicy: 'Always' }, { name: 'init' }],
            },
          },
        ),
        { ready: wanted, status, restarts },
      ] as Row,
  ),
  [
    'a pod that waits for its gates',
    pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
    { ready: '0/2', status: 'SchedulingGated', restarts: '0' },
  ],
  [
    'a reason for the whole pod',
    pod({ phase: 'Failed', reason: 'Evicted' }),
    { ready: '0/2', status: 'Evicted', restarts: '0' },
  ],
];
for (const [name, object, expected] of pods) {
  test(name, () => assert.deepEqual(summarizePod(object, now), expected));
}

const strategies = builtinStrategies({ kinds: [], clock: systemClock });
const strategyOf = (kind: Kind): Strategy => strategies.find((strategy) => strategy.kind === kind) ?? { kind };

/** The cells of an object's row, by column; wide columns included. */
function row<T extends KubeObject>(kind: Kind<T>, object: KubeObject): Record<string, unknown> {
  const columns = columnsOf(strategyOf(kind as unknown as Kind));
  return Object.fromEntries(columns.map((column) => [column.name, column.cell(object, now)]));
}
const meta = { name: 'x', creationTimestamp: '2026-01-01T00:00:00Z' };

test('a deployment shows ready of wanted', () => {
  const spec = {
    replicas: 3,
    selector: { matchLabels: { a: 'b' } },
    template: { spec: { containers: [{ name: 'c', image: 'i' }] } },
  };
  const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: meta, spec, status: { readyReplicas: 1 } };
  const cells = row(DeploymentKind, object);
  assert.deepEqual(
    [cells.Ready, cells['Up-to-date'], cells.Age, cells.Selector, cells.Images],
    ['1/3', 0, '24h', 'a=b', 'i'],
  );
});

test('a service shows its ports with protocols, and a pending load balancer', () => {
  const spec = {
    type: 'LoadBalancer',
    clusterIP: '10.0.0.1',
    ports: [{ port: 80 }, { port: 53, protocol: 'UDP', nodePort: 30053 }],
  };
  const cells = row(CoreServiceKind, { apiVersion: 'v1', kind: 'Service', metadata: meta, spec } as KubeObject);
  assert.equal(cells['Port(s)'], '80/TCP,53:30053/UDP');
  assert.equal(cells['External-IP'], '<pending>');
});

test('a node shows its state and roles', () => {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { ...meta, labels: { 'node-role.kubernetes.io/control-plane': '' } },
    spec: { unschedulable: true },
    status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1' } },
  };
  const cells = row(NodeKind, node as KubeObject);
  assert.deepEqual([cells.Status, cells.Roles], ['Ready,SchedulingDisabled', 'control-plane']);
});

test('events start with when they were last seen, and name their object', () => {
  const event: CoreEvent = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: meta,
    involvedObject: { kind: 'Pod', name: 'p' },
    lastTimestamp: '2026-01-01T23:59:00Z',
    message: 'hello\n',
  };
  const cells = row(EventKind, event);
  assert.equal(Object.keys(cells)[0], 'Last Seen');
  assert.deepEqual([cells['Last Seen'], cells.Object, cells.Message], ['60s', 'pod/p', 'hello']);
});

test('a kind of the platform shows its own columns, null where there is nothing', () => {
  const status = { url: 'http://x', conditions: [{ type: 'Ready', status: 'False', reason: 'BuildFailed' }] };
  const object = { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata: meta, status };
  const cells = row(ServiceKind, object);
  assert.deepEqual(
    [cells.Name, cells.URL, cells.LatestReady, cells.Ready, cells.Reason],
    ['x', 'http://x', null, 'False', 'BuildFailed'],
  );
});

test('a table carries metadata, nothing, or whole objects, as asked', () => {
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: meta, spec: { containers: [] } };
  const options = { columns: columnsOf(strategyOf(PodKind as Kind)), version: 'v1', nowMs: now, onFailure() {} };
  const rows = (includeObject: 'None' | 'Metadata' | 'Object') =>
    (renderTable([object], {}, { ...options, includeObject }) as { rows: { object?: object }[] }).rows;
  assert.equal(rows('None')[0]?.object, undefined);
  assert.deepEqual(rows('Metadata')[0]?.object, {
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: meta,
  });
  assert.equal(rows('Object')[0]?.object, object);
});

test('a cell that cannot be made says so, and is told; the others are shown', () => {
  const failed: string[] = [];
  const options = {
    columns: columnsOf(strategyOf(PodKind as Kind)),
    version: 'v1',
    nowMs: now,
    includeObject: 'None' as const,
    onFailure: (_: unknown, column: string) => failed.push(column),
  };
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: meta }; // Without its spec.
  const { rows } = renderTable([object], {}, options) as { rows: { cells: unknown[] }[] };
  assert.equal(rows[0]?.cells[0], 'x');
  assert.equal(rows[0]?.cells[1], '<error>');
  assert.equal(failed[0], 'Ready');
});
