import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment, DeploymentStatus } from '../../../api/apps/deployment.ts';
import type { ReplicaSet, ReplicaSetStatus } from '../../../api/apps/replica-set.ts';
import { deadlineInMs, statusOf } from './status.ts';

const startMs = Date.UTC(2026, 0, 1);

function deployment(replicas: number, status?: DeploymentStatus): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', generation: 3 },
    spec: {
      replicas,
      selector: {},
      template: { spec: { containers: [] } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 0 } },
      progressDeadlineSeconds: 60,
    },
    ...(status && { status }),
  };
}

function replicaSet(name: string, replicas: number, counts: Partial<ReplicaSetStatus> = {}): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name },
    spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
    status: { replicas, ...counts },
  };
}

const said = (status: DeploymentStatus) =>
  Object.fromEntries((status.conditions ?? []).map((c) => [c.type, `${c.status} ${c.reason}`]));

test('the counts are those of all ReplicaSets, zeros left out', () => {
  const current = replicaSet('new', 2, { readyReplicas: 1, availableReplicas: 1 });
  const old = replicaSet('old', 1, { readyReplicas: 1, availableReplicas: 1 });
  const { conditions: _, ...counts } = statusOf(deployment(3), current, [old], startMs);
  assert.deepEqual(counts, {
    observedGeneration: 3,
    replicas: 3,
    updatedReplicas: 2,
    readyReplicas: 2,
    availableReplicas: 2,
    unavailableReplicas: 1,
  });
  assert.deepEqual(Object.keys(statusOf(deployment(0), replicaSet('new', 0), [], startMs)), [
    'observedGeneration',
    'conditions',
  ]);
});

test('a rollout progresses, then is complete, and stays so when it is scaled', () => {
  const none = statusOf(deployment(1), replicaSet('new', 1, { replicas: 0 }), [], startMs);
  assert.deepEqual(said(none), {
    Available: 'False MinimumReplicasUnavailable',
    Progressing: 'True ReplicaSetUpdated',
  });
  const done = statusOf(
    deployment(1, none),
    replicaSet('new', 1, { readyReplicas: 1, availableReplicas: 1 }),
    [],
    startMs,
  );
  assert.deepEqual(said(done), {
    Available: 'True MinimumReplicasAvailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
  const scaled = statusOf(
    deployment(3, done),
    replicaSet('new', 3, { readyReplicas: 1, availableReplicas: 1 }),
    [],
    startMs,
  );
  assert.deepEqual(said(scaled), {
    Available: 'False MinimumReplicasUnavailable',
    Progressing: 'True NewReplicaSetAvailable',
  });
  const rolled = statusOf(
    deployment(3, done),
    replicaSet('newer', 1, { replicas: 0 }),
    [replicaSet('new', 3)],
    startMs,
  );
  assert.equal(said(rolled).Progressing, 'True ReplicaSetUpdated');
});

test('a rollout that does not advance exceeds its deadline, and recovers when it does', () => {
  const stuck = replicaSet('new', 1);
  const first = statusOf(deployment(1), stuck, [], startMs);
  assert.equal(deadlineInMs(deployment(1), first, startMs), 60_000);
  const later = statusOf(deployment(1, first), stuck, [], startMs + 59_000);
  assert.equal(said(later).Progressing, 'True ReplicaSetUpdated');
  assert.equal(deadlineInMs(deployment(1), later, startMs + 59_000), 1_000);
  const late = statusOf(deployment(1, later), stuck, [], startMs + 60_000);
  assert.equal(said(late).Progressing, 'False ProgressDeadlineExceeded');
  assert.equal(deadlineInMs(deployment(1), late, startMs + 60_000), undefined);
  const still = statusOf(deployment(1, late), stuck, [], startMs + 90_000);
  assert.deepEqual(still.conditions, late.conditions);
  const available = replicaSet('new', 1, { readyReplicas: 1, availableReplicas: 1 });
  assert.equal(
    said(statusOf(deployment(1, still), available, [], startMs + 95_000)).Progressing,
    'True NewReplicaSetAvailable',
  );
});

test('progress restarts the deadline', () => {
  const first = statusOf(deployment(2), replicaSet('new', 1), [], startMs);
  const advanced = statusOf(
    deployment(2, first),
    replicaSet('new', 2, { readyReplicas: 1, availableReplicas: 1 }),
    [],
    startMs + 50_000,
  );
  assert.equal(deadlineInMs(deployment(2), advanced, startMs + 50_000), 60_000);
});

test('what stops a ReplicaSet from making pods is said by the Deployment', () => {
  const failed = replicaSet('new', 1, {
    replicas: 0,
    conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'no' }],
  });
  assert.equal(said(statusOf(deployment(1), failed, [], startMs)).ReplicaFailure, 'True FailedCreate');
});

test('a status that says the same as before is the same', () => {
  const set = replicaSet('new', 1, { readyReplicas: 1, availableReplicas: 1 });
  const first = statusOf(deployment(1), set, [], startMs);
  assert.deepEqual(statusOf(deployment(1, first), set, [], startMs + 5_000), first);
});
