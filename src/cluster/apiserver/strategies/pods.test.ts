import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../../api/core/pod.ts';
import type { DeleteOptions } from '../../../kube/client.ts';
import { systemClock } from '../../../lib/clock.ts';
import { pods } from './pods.ts';

const strategy = pods({ podLogs: undefined, podStreams: undefined, clock: systemClock });

const podWith = (more: { metadata?: object; spec?: object; status?: object } = {}) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', ...more.metadata },
    spec: { nodeName: 'local', containers: [{ name: 'c', image: 'i' }], ...more.spec },
    ...(more.status && { status: more.status }),
  }) as Pod;

test('a new pod waits, and says how well its resources are guaranteed', () => {
  const pod = podWith({ spec: { containers: [{ name: 'c', image: 'i', resources: { limits: { cpu: '1' } } }] } });
  strategy.prepareForCreate?.(pod, {} as never);
  assert.deepEqual(pod.status, { phase: 'Pending', qosClass: 'Burstable' });
});

const dying = { deletionTimestamp: '2026-01-01T00:00:20Z', deletionGracePeriodSeconds: 20 };
const graces: [why: string, pod: Pod, deletion: DeleteOptions, seconds: number][] = [
  ['30 s, when nobody says how long', podWith(), {}, 30],
  ['what the pod says', podWith({ spec: { terminationGracePeriodSeconds: 5 } }), {}, 5],
  ['what the deletion says', podWith(), { gracePeriodSeconds: 7 }, 7],
  ['nothing below 0', podWith(), { gracePeriodSeconds: -1 }, 0],
  ['none, when no node has the pod', podWith({ spec: { nodeName: '' } }), {}, 0],
  ['none, when the pod has ended', podWith({ status: { phase: 'Succeeded' } }), {}, 0],
  ['what is left, when it is deleted again', podWith({ metadata: dying }), {}, 20],
  ['less, when it is deleted again with less', podWith({ metadata: dying }), { gracePeriodSeconds: 1 }, 1],
  ['never more than before', podWith({ metadata: dying }), { gracePeriodSeconds: 60 }, 20],
];

for (const [why, pod, deletion, seconds] of graces) {
  test(`a pod that is deleted gets ${why}`, () => {
    assert.equal(strategy.graceOf?.(pod, deletion), seconds);
  });
}
