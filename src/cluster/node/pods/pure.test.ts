import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Pod, qosClassOf } from '../../../api/core/pod.ts';
import { commandOf } from './command.ts';
import { expand } from './expand.ts';
import { drainLimitMs } from './pod-runner.ts';
import { goSeconds, RestartBackoff, shouldRestart } from './restart.ts';
import { type ContainerView, phaseOf, podStatusOf } from './status.ts';

for (const [text, expected] of [
  ['$(A)-$(B)', '1-2'],
  ['$(MISSING) stays', '$(MISSING) stays'],
  ['$$(A) is escaped', '$(A) is escaped'],
  ['$$$(A)', '$1'],
  ['$A is for the shell', '$A is for the shell'],
  ['$(A', '$(A'],
  ['100$', '100$'],
] as const) {
  test(`expanding ${text} gives ${expected}`, () => assert.equal(expand(text, { A: '1', B: '2' }), expected));
}

test('of variables with one name, those that come first are meant', () => {
  assert.equal(expand('$(A) $(B) $(C)', { A: '1' }, { A: '2', B: '3' }), '1 3 $(C)');
});

test('text without $ is left alone', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(!text.includes('$'));
      assert.equal(expand(text, { A: '1' }), text);
    }),
  );
});

const image = { entrypoint: ['ep'], cmd: ['cmd'] };
for (const [what, container, expected] of [
  ['neither command nor args', {}, ['ep', 'cmd']],
  ['args only', { args: ['x'] }, ['ep', 'x']],
  ['a command only', { command: ['c'] }, ['c']],
  ['both', { command: ['c'], args: ['$(V)'] }, ['c', 'v']],
] as const) {
  test(`with ${what} the container runs ${expected.join(' ')}`, () => {
    const { command, args } = container as { command?: string[]; args?: string[] };
    const given = { name: 'n', ...(command ? { command: [...command] } : {}), ...(args ? { args: [...args] } : {}) };
    assert.deepEqual(commandOf(given, image, { V: 'v' }), [...expected]);
  });
}

test('a container without any command says so', () => {
  assert.throws(() => commandOf({ name: 'n' }, { entrypoint: [], cmd: [] }, {}), /no command specified/);
});

test('restarts come at once, then after 10 s, 20 s, up to 5 min, and at once again after a long run', () => {
  const backoff = new RestartBackoff();
  const delays = [0, 0, 0, 0, 0, 0, 0, 0, 599_999].map((ranMs) => backoff.next(ranMs) / 1000);
  assert.deepEqual(delays, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
  assert.equal(backoff.next(600_000), 0);
});

for (const [policy, code, expected] of [
  ['Always', 0, true],
  [undefined, 0, true],
  ['OnFailure', 0, false],
  ['OnFailure', 1, true],
  ['Never', 1, false],
] as const) {
  test(`with policy ${policy} and exit code ${code} a container ${expected ? 'runs again' : 'has ended'}`, () =>
    assert.equal(shouldRestart(policy, code), expected));
}

test('durations are printed as Go does', () => assert.deepEqual([10_000, 300_000].map(goSeconds), ['10s', '5m0s']));

const view = (state: ContainerView['state'], more: Partial<ContainerView> = {}): ContainerView => ({
  container: { name: 'c', image: 'i' },
  role: 'main',
  imageId: 'i@sha256:0',
  containerId: undefined,
  state,
  lastState: undefined,
  restartCount: 0,
  isStarted: true,
  isReady: false,
  ...more,
});
const running = { running: {} };
const ended = (exitCode: number) => ({ terminated: { exitCode } });

for (const [policy, states, expected] of [
  ['Always', [{ waiting: { reason: 'ContainerCreating' } }], 'Pending'],
  ['Always', [running, { waiting: {} }], 'Running'],
  ['Always', [ended(1)], 'Running'],
  ['OnFailure', [ended(1)], 'Running'],
  ['OnFailure', [ended(0)], 'Succeeded'],
  ['Never', [ended(0), ended(0)], 'Succeeded'],
  ['Never', [ended(0), ended(3)], 'Failed'],
  ['Never', [running, ended(3)], 'Running'],
] as const) {
  test(`a ${policy} pod with ${JSON.stringify(states)} is ${expected}`, () => {
    const pod = { spec: { containers: [], restartPolicy: policy } };
    assert.equal(phaseOf(pod, { init: [], main: states.map((state) => view(state)) }), expected);
  });
}

test('a pod that waits between two runs is Running, one whose init container has not ended is Pending', () => {
  const pod = { spec: { containers: [] } };
  const between = view({ waiting: { reason: 'CrashLoopBackOff' } }, { lastState: ended(1) });
  assert.equal(phaseOf(pod, { init: [], main: [between] }), 'Running');
  assert.equal(phaseOf(pod, { init: [view(running, { role: 'init' })], main: [view({ waiting: {} })] }), 'Pending');
});

const aPod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } };
const statusOf = (pod: Pod, main: ContainerView[], nowMs: number) =>
  podStatusOf(
    pod,
    { init: [], main, startedAtMs: 0, addresses: { ips: ['10.0.0.7', 'fd00::7'] }, failure: undefined },
    nowMs,
    { address: '10.0.0.1' },
  );
const conditionOf = (status: ReturnType<typeof statusOf>, type: string) =>
  status.conditions?.find((c) => c.type === type);

test('the time of a condition is when it last changed', () => {
  const first = statusOf(aPod, [view(running)], 0);
  const same = statusOf({ ...aPod, status: first }, [view(running)], 5_000);
  assert.deepEqual(same, first);
  const ready = statusOf({ ...aPod, status: same }, [view(running, { isReady: true })], 9_000);
  assert.equal(conditionOf(ready, 'Ready')?.lastTransitionTime, '1970-01-01T00:00:09Z');
  assert.equal(conditionOf(ready, 'Initialized')?.lastTransitionTime, '1970-01-01T00:00:00Z');
});

test("the addresses of a pod's status are its sandbox's, the first first; the host's is the node's", () => {
  const { podIP, podIPs, hostIP, hostIPs } = statusOf(aPod, [view(running)], 0);
  assert.deepEqual([podIP, podIPs], ['10.0.0.7', [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }]]);
  assert.deepEqual([hostIP, hostIPs], ['10.0.0.1', [{ ip: '10.0.0.1' }]]);
});

test('a pod with a readiness gate is ready only when its condition is True', () => {
  const gated: Pod = { ...aPod, spec: { ...aPod.spec, readinessGates: [{ conditionType: 'example.com/up' }] } };
  const main = [view(running, { isReady: true })];
  assert.equal(conditionOf(statusOf(gated, main, 0), 'Ready')?.reason, 'ReadinessGatesNotReady');
  const open: Pod = { ...gated, status: { conditions: [{ type: 'example.com/up', status: 'True' }] } };
  assert.equal(conditionOf(statusOf(open, main, 0), 'Ready')?.status, 'True');
  assert.equal(conditionOf(statusOf(open, main, 0), 'example.com/up')?.status, 'True');
});

test('conditions say what kubelet says, and of which generation', () => {
  const gated: Pod = {
    ...aPod,
    metadata: { ...aPod.metadata, generation: 3 },
    spec: { ...aPod.spec, readinessGates: [{ conditionType: 'example.com/up' }, { conditionType: 'example.com/on' }] },
    status: { conditions: [{ type: 'example.com/on', status: 'False' }] },
  };
  const status = statusOf(gated, [view(running, { isReady: true })], 0);
  const ready = conditionOf(status, 'Ready');
  assert.equal(
    ready?.message,
    'corresponding condition of pod readiness gate "example.com/up" does not exist., ' +
      'the status of pod readiness gate "example.com/on" is not "True", but False',
  );
  assert.deepEqual([status.observedGeneration, ready?.observedGeneration], [3, 3]);
  const order = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  assert.deepEqual(
    status.conditions?.map((c) => c.type),
    [...order, 'example.com/on'],
  );
  const over = statusOf({ ...aPod, spec: { ...aPod.spec, restartPolicy: 'Never' } }, [view(ended(0))], 0);
  assert.deepEqual(
    ['Initialized', 'Ready', 'ContainersReady', 'PodReadyToStartContainers'].map((type) => {
      const found = conditionOf(over, type);
      return `${found?.status} ${found?.reason ?? ''}`.trim();
    }),
    ['True PodCompleted', 'False PodCompleted', 'False PodCompleted', 'False'],
  );
});

test('a pod that is deleted ends as it has ended: what never ran counts as failed', () => {
  const end = (main: ContainerView[], init: ContainerView[] = []) =>
    podStatusOf(aPod, { init, main, startedAtMs: 0, addresses: undefined, failure: undefined, isOver: true }, 0, {
      address: '10.0.0.1',
    });
  assert.equal(end([view(ended(0))]).phase, 'Succeeded');
  assert.equal(end([view(ended(0)), view(ended(143))]).phase, 'Failed');
  assert.equal(end([]).phase, 'Failed');
  const never = end([view({ waiting: { reason: 'ContainerCreating' } })]);
  assert.equal(never.phase, 'Failed');
  assert.equal(never.containerStatuses?.[0]?.state?.terminated?.reason, 'ContainerStatusUnknown');
  const waits = { waiting: { reason: 'PodInitializing' } };
  const inits = [view(ended(1), { role: 'init' }), view(waits, { role: 'init' })];
  const { containerStatuses, initContainerStatuses } = end([view(waits)], inits);
  assert.deepEqual(
    initContainerStatuses?.map((s) => s.state),
    [ended(1), waits],
  );
  assert.deepEqual(containerStatuses?.[0]?.state, waits);
});

test("a container's status tells its resources once it has run, and its mounts from the start", () => {
  const container = {
    name: 'c',
    resources: { limits: { memory: '64Mi' }, requests: { memory: '32Mi' } },
    volumeMounts: [
      { name: 'v', mountPath: '/v', readOnly: true },
      { name: 'w', mountPath: '/w', subPath: 's' },
    ],
  };
  const [waits] = statusOf(aPod, [view({ waiting: {} }, { container })], 0).containerStatuses ?? [];
  assert.equal(waits?.resources, undefined);
  const [runs] = statusOf(aPod, [view(running, { container })], 0).containerStatuses ?? [];
  assert.deepEqual([runs?.resources, runs?.allocatedResources], [container.resources, { memory: '32Mi' }]);
  assert.deepEqual(waits?.volumeMounts, [
    { name: 'v', mountPath: '/v', readOnly: true, recursiveReadOnly: 'Disabled' },
    { name: 'w', mountPath: '/w' },
  ]);
});

test('a pod is Guaranteed when it limits all and asks for as much, however that is written', () => {
  const qos = (...resources: NonNullable<ContainerView['container']['resources']>[]) =>
    qosClassOf({ containers: resources.map((each, i) => ({ name: `${i}`, resources: each })) });
  assert.equal(qos({}), 'BestEffort');
  assert.equal(qos({ requests: { cpu: '0' } }), 'BestEffort');
  assert.equal(qos({ limits: { cpu: 1, memory: '1Gi' }, requests: { cpu: '1000m' } }), 'Guaranteed');
  assert.equal(qos({ limits: { cpu: 1, memory: '1Gi' } }, {}), 'Burstable');
  assert.equal(qos({ limits: { cpu: 1, memory: '1Gi' }, requests: { cpu: '500m' } }), 'Burstable');
});

test('connections are waited for during half of the grace period', () => {
  assert.deepEqual([30_000, 1_000, 0].map(drainLimitMs), [15_000, 500, 0]);
});

const sidecar = (state: ContainerView['state'], isStarted: boolean) => view(state, { role: 'sidecar', isStarted });
for (const [what, init, main, expected] of [
  ['a sidecar that has not started', [sidecar(running, false)], [view({ waiting: {} })], 'Pending'],
  ['a sidecar that has started', [sidecar(running, true)], [view(running)], 'Running'],
  ['a sidecar that crashed later', [sidecar({ waiting: {} }, false)], [view(running)], 'Running'],
  ['a sidecar that still runs after the rest', [sidecar(running, true)], [view(ended(0))], 'Running'],
  ['a sidecar that has ended last', [sidecar(ended(143), false)], [view(ended(0))], 'Succeeded'],
  ['a sidecar that has ended after a failure', [sidecar(ended(0), false)], [view(ended(1))], 'Failed'],
] as const) {
  test(`a pod with ${what} is ${expected}`, () => {
    assert.equal(phaseOf({ spec: { containers: [], restartPolicy: 'Never' } }, { init, main }), expected);
  });
}
