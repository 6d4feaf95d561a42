import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, PodStatus } from '../../api/core/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { deploymentCondition, diagnose } from './health.ts';

const nowMs = Date.UTC(2026, 0, 1);
const context = { port: 8080, progressDeadlineMs: 600_000, nowMs };

function pod(container: object, status: Partial<PodStatus> = {}): Pod {
  const containerStatuses = [
    { name: 'user-container', image: '', imageID: '', ready: false, restartCount: 0, ...container },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', creationTimestamp: timestamp(nowMs) },
    spec: { containers: [] },
    status: { containerStatuses, ...status },
  };
}

const running = (seconds: number) => ({ state: { running: { startedAt: timestamp(nowMs - seconds * 1000) } } });
const summary = (pods: Pod[], over = {}) => {
  const { ailment, againAfterMs } = diagnose(pods, { ...context, ...over });
  return [ailment?.condition, ailment?.status, ailment?.reason, againAfterMs];
};

test('what the pods say of themselves becomes a condition', () => {
  const crashed = { state: { terminated: { exitCode: 3, message: 'boom\n' } } };
  const looping = { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 0 } } };
  const cases: [name: string, pods: Pod[], expected: unknown[], over?: object][] = [
    ['no pod yet', [], [undefined, undefined, undefined, undefined]],
    [
      'still creating',
      [pod({ state: { waiting: { reason: 'ContainerCreating' } } })],
      [undefined, undefined, undefined, undefined],
    ],
    ['an exit', [pod(crashed)], ['ContainerHealthy', 'False', 'ExitCode3', undefined]],
    ['a crash loop', [pod(looping)], ['ContainerHealthy', 'False', 'ExitCode0', undefined]],
    [
      'an image that is not there',
      [pod({ state: { waiting: { reason: 'ErrImagePull', message: 'no' } } })],
      ['ResourcesAvailable', 'False', 'ErrImagePull', undefined],
    ],
    [
      'no room',
      [pod({}, { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'full' }] })],
      ['ResourcesAvailable', 'False', 'Unschedulable', undefined],
    ],
    ['just started', [pod(running(1))], [undefined, undefined, undefined, 4_000]],
    ['slow', [pod(running(6))], ['ContainerHealthy', 'Unknown', 'NotListening', 24_000]],
    ['never listens', [pod(running(31))], ['ContainerHealthy', 'False', 'NotListening', undefined]],
    [
      'a shorter deadline',
      [pod(running(3))],
      ['ContainerHealthy', 'False', 'NotListening', undefined],
      { progressDeadlineMs: 2_000 },
    ],
  ];
  for (const [name, pods, expected, over] of cases) assert.deepEqual(summary(pods, over), expected, name);
});

test('the message has the last words of the container, or the port that it should listen on', () => {
  const last = (container: object) => diagnose([pod(container)], context).ailment?.message;
  assert.equal(last({ state: { terminated: { exitCode: 3, message: 'boom\n' } } }), 'Container failed with: boom');
  assert.match(
    last({ state: { terminated: { exitCode: 0 } } }) ?? '',
    /^Container failed with: container exited with no error: a server listens on the port in PORT .* "handle"$/,
  );
  assert.match(last(running(40)) ?? '', /has run for 30 s without becoming ready: it must listen on .* PORT \(8080/);
});

test('the newest pod speaks for all, and one that is being deleted for none', () => {
  const old = pod({ state: { terminated: { exitCode: 1 } } });
  old.metadata.creationTimestamp = timestamp(nowMs - 60_000);
  assert.deepEqual(summary([old, pod(running(0))]).slice(0, 3), [undefined, undefined, undefined]);
  const leaving = pod({ state: { terminated: { exitCode: 1 } } });
  leaving.metadata.deletionTimestamp = timestamp(nowMs);
  assert.deepEqual(summary([leaving]), [undefined, undefined, undefined, undefined]);
});

test('a Deployment that cannot progress or cannot make pods says so', () => {
  const of = (...conditions: { type: string; status: 'True' | 'False'; reason: string; message: string }[]) =>
    deploymentCondition({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: { selector: {}, template: { spec: { containers: [] } } },
      status: { conditions },
    }).status;
  const condition = (type: string, status: 'True' | 'False') => ({ type, status, reason: 'r', message: 'm' });
  assert.equal(of(), 'Unknown');
  assert.equal(of(condition('Progressing', 'True')), 'True');
  assert.equal(of(condition('Progressing', 'False')), 'False');
  assert.equal(of(condition('Progressing', 'True'), condition('ReplicaFailure', 'True')), 'False');
});
