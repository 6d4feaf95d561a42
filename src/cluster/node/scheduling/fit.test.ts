import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node } from '../../../api/core/node.ts';
import type { Pod } from '../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../api/core/pod-spec.ts';
import { type Room, reasonsAgainst, rejectionOf, unschedulable } from './fit.ts';
import { podRequests } from './requests.ts';

const asking = (cpu: string, more: Partial<Container> = {}): Container => ({
  name: 'c',
  resources: { requests: { cpu } },
  ...more,
});
const podOf = (spec: Partial<PodSpec>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: { containers: [], ...spec },
});
const roomOf = (spec: Node['spec'] = {}, more: Partial<Room> = {}): Room => ({
  node: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'local', labels: { disk: 'ssd', cores: '8' } },
    ...(spec && { spec }),
    status: { allocatable: { cpu: '2', memory: '1Gi' } },
  },
  podsMax: 10,
  podCount: 3,
  used: { cpu: 1 },
  ...more,
});
const taints = (...all: NonNullable<NonNullable<Node['spec']>['taints']>) => ({ taints: all });
const dedicated = { key: 'dedicated', value: 'db', effect: 'NoSchedule' };
const term = (operator: string, values: string[], key = 'disk') => ({
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
      },
    },
  },
});

const selectorSays = "node(s) didn't match Pod's node affinity/selector";
for (const [what, spec, room, expected] of [
  ['what fits', { containers: [asking('1')] }, roomOf(), []],
  ['too much cpu', { containers: [asking('1001m')] }, roomOf(), ['Insufficient cpu']],
  [
    'too much of several',
    { containers: [{ name: 'c', resources: { requests: { cpu: 2, memory: '2Gi', 'example.com/gpu': '1' } } }] },
    roomOf(),
    ['Insufficient cpu', 'Insufficient memory', 'Insufficient example.com/gpu'],
  ],
  ['one pod too many', {}, roomOf({}, { podCount: 10 }), ['Too many pods']],
  ['a cordoned node', {}, roomOf({ unschedulable: true }), ['node(s) were unschedulable']],
  ['a cordoned node that it tolerates', { tolerations: [{ operator: 'Exists' }] }, roomOf({ unschedulable: true }), []],
  ['a taint', {}, roomOf(taints(dedicated)), ['node(s) had untolerated taint {dedicated: db}']],
  ['a taint that only puts off', {}, roomOf(taints({ ...dedicated, effect: 'PreferNoSchedule' })), []],
  ['a taint that it tolerates', { tolerations: [{ key: 'dedicated', value: 'db' }] }, roomOf(taints(dedicated)), []],
  [
    'a taint of another value',
    { tolerations: [{ key: 'dedicated', value: 'web' }] },
    roomOf(taints(dedicated)),
    ['node(s) had untolerated taint {dedicated: db}'],
  ],
  ['a label that the node has', { nodeSelector: { disk: 'ssd' } }, roomOf(), []],
  ['a label that it has not', { nodeSelector: { disk: 'hdd' } }, roomOf(), [selectorSays]],
  ['an affinity that holds', term('In', ['ssd', 'nvme']), roomOf(), []],
  ['an affinity that does not', term('NotIn', ['ssd']), roomOf(), [selectorSays]],
  ['a number that is larger', term('Gt', ['4'], 'cores'), roomOf(), []],
  ['a number that is not', term('Lt', ['4'], 'cores'), roomOf(), [selectorSays]],
  ['a node that is not registered yet', { nodeSelector: { a: 'b' } }, roomOf({}, { node: undefined }), []],
] as const) {
  test(`the scheduler's words for ${what}: ${expected.join(', ') || 'none'}`, () => {
    assert.deepEqual(reasonsAgainst(podOf(spec as Partial<PodSpec>), room), expected);
  });
}

test('all reasons are told in one sentence, in order', () => {
  assert.equal(
    unschedulable(['Insufficient memory', 'Insufficient cpu']),
    '0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.',
  );
});

test('a pod asks for its containers and sidecars together, or for an init container if that is more', () => {
  const sidecar = asking('100m', { restartPolicy: 'Always' });
  const main = { containers: [asking('1'), asking('500m')] };
  assert.deepEqual(podRequests(main), { cpu: 1.5 });
  assert.deepEqual(podRequests({ ...main, initContainers: [sidecar] }), { cpu: 1.6 });
  assert.deepEqual(podRequests({ ...main, initContainers: [asking('3'), sidecar] }), { cpu: 3 });
  assert.deepEqual(podRequests({ ...main, initContainers: [sidecar, asking('3')] }), { cpu: 3.1 });
  assert.deepEqual(podRequests({ ...main, overhead: { memory: '1Ki' } }), { cpu: 1.5, memory: 1024 });
  assert.deepEqual(podRequests({ containers: [{ name: 'c', resources: { limits: { cpu: '2' } } }] }), { cpu: 2 });
});

test('a pod that was put on the node by name is rejected in the words of kubelet', () => {
  assert.deepEqual(rejectionOf(podOf({ containers: [asking('1500m')] }), roomOf()), {
    reason: 'OutOfcpu',
    message: "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
  });
  assert.equal(rejectionOf(podOf({ nodeSelector: { disk: 'hdd' } }), roomOf())?.reason, 'NodeAffinity');
  assert.equal(rejectionOf(podOf({}), roomOf({ unschedulable: true })), undefined);
});
