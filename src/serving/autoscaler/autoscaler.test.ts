import assert from 'node:assert/strict';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DeploymentKind } from '../../api/apps/deployment.ts';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import { conditionOf } from '../../api/meta.ts';
import { PodAutoscalerKind } from '../../api/serving/pod-autoscaler.ts';
import { afterwards, type Scope } from '../../lib/testing/afterwards.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { silentLogger } from '../../observe/log.ts';
import {
  inDefault,
  openServingWorld,
  revisionLabelOf,
  type ServingWorld,
  secondsAgo,
  stateOf,
} from '../testing/serving-world.ts';
import { startAutoscaler } from './index.ts';
import type { RevisionStats } from './stats.ts';

const deployment = inDefault('web-00001-deployment');

/** A Service that is up, and the autoscaler on a clock that the test moves; `report` is what a gateway sends. */
async function openScaledWorld(t: Scope) {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  const clock = new VirtualClock(Date.now());
  const socketPath = join(tmpdir(), `kw-autoscaler-${process.pid}-${Math.random().toString(36).slice(2)}.sock`);
  const options = { client: serving.client, cache: serving.world.cache, clock, log: silentLogger };
  const autoscaler = await startAutoscaler({ ...options, listen: { socketPath } });
  afterwards(t, () => autoscaler.stop());
  return {
    serving,
    clock,
    autoscaler,
    async report(stats: Partial<RevisionStats>) {
      const revision = { namespace: 'default', name: 'web-00001', averageConcurrency: 0, requestCount: 0, queued: 0 };
      const body = { gateway: 'g', at: clock.now(), revisions: [{ ...revision, ...stats }] };
      assert.equal(await post(socketPath, JSON.stringify(body)), 204);
    },
  };
}

function post(socketPath: string, body: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path: '/v1/stats', method: 'POST', agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const replicas = (serving: ServingWorld, wanted: number) =>
  serving.world.until(DeploymentKind, deployment, (d) => d?.spec.replicas === wanted);

/** Reports idle seconds until the Deployment is at zero, and plays its controller. */
async function goIdle({ serving, clock, report }: Awaited<ReturnType<typeof openScaledWorld>>): Promise<void> {
  for (let second = 0; second <= 70; second++) {
    await report({});
    await clock.advance(1_000);
  }
  const idle = await replicas(serving, 0);
  assert.ok(idle);
  await serving.setDeploymentStatus(idle, 0);
  await serving.world.until(
    PodAutoscalerKind,
    inDefault('web-00001'),
    (pa) => pa !== undefined && conditionOf(pa, 'Active')?.status === 'False',
  );
}

test('an idle revision goes to zero, and a request that waits brings it back before any tick', async (t) => {
  const world = await openScaledWorld(t);
  await goIdle(world);
  await world.report({ queued: 1, averageConcurrency: 1, requestCount: 1 });
  // The clock stands still: nothing but the report can have done it.
  await replicas(world.serving, 1);
});

test('load adds pods, at the next tick', async (t) => {
  const world = await openScaledWorld(t);
  await world.report({ averageConcurrency: 300, requestCount: 300 });
  await world.clock.advance(1_000);
  await world.report({ averageConcurrency: 300, requestCount: 300 });
  await world.clock.advance(1_000);
  await replicas(world.serving, 5);
});

test('a new revision begins with its minimum', async (t) => {
  const world = await openScaledWorld(t);
  await world.serving.changeService('web', ({ spec }) => {
    spec.template.metadata = { annotations: { 'autoscaling.knative.dev/min-scale': '3' } };
  });
  const second = await world.serving.deployment('web-00002');
  assert.equal(second.spec.replicas, 3, 'a minimum does not wait for the autoscaler');
});

test('a crashed revision that a newer one has replaced is ended, and still says why it failed', async (t) => {
  const world = await openScaledWorld(t);
  const { serving, clock } = world;
  await serving.createService('app');
  await serving.failPod('app-00001', { state: { terminated: { exitCode: 7, message: 'no config' } } });
  await serving.revision('app-00001', (r) => stateOf(r, 'Ready') === 'False ExitCode7');
  await clock.advance(10_000);
  assert.equal((await serving.deployment('app-00001')).spec.replicas, 1, 'the newest may come up yet');

  await serving.changeService('app', ({ spec }) => {
    spec.template.metadata = { annotations: { mended: 'yes' } };
  });
  await serving.bringUp('app-00002');
  await serving.readyService('app');
  await serving.revision('app-00001', (r) => revisionLabelOf(r) === 'reserve');
  await clock.advance(2_000);
  const ended = await serving.world.until(
    DeploymentKind,
    inDefault('app-00001-deployment'),
    (d) => d?.spec.replicas === 0,
  );
  assert.ok(ended);
  await serving.setDeploymentStatus(ended, 0);
  const failed = await serving.revision('app-00001', (r) => r.status?.desiredReplicas === 0);
  assert.equal(stateOf(failed, 'Ready'), 'False ExitCode7');
  await clock.advance(700_000);
  assert.equal((await serving.deployment('app-00001')).spec.replicas, 0, 'it stays so');
});

test('a revision that never listens is ended soon after it has failed, not after its progress deadline', async (t) => {
  const world = await openScaledWorld(t);
  const { serving, clock } = world;
  await serving.createService('deaf');
  await serving.failPod('deaf-00001', { state: { running: { startedAt: secondsAgo(60) } } });
  await serving.revision('deaf-00001', (r) => stateOf(r, 'Ready') === 'False NotListening');
  await clock.advance(20_000);
  await serving.world.until(DeploymentKind, inDefault('deaf-00001-deployment'), (d) => d?.spec.replicas === 0);
  // Its grace is as long as its longest request; but it never had one.
  const pod = inDefault('deaf-00001-pod');
  const scheduled = (await serving.client.get(PodKind, pod)) as Pod;
  assert.equal(scheduled.spec.terminationGracePeriodSeconds, 300);
  await serving.client.delete(PodKind, pod);
  await serving.world.until(PodKind, pod, (p) => p?.metadata.deletionGracePeriodSeconds === 10);
});

test('a PodAutoscaler that says what it should not neither ends the autoscaler nor holds up others', async (t) => {
  const world = await openScaledWorld(t);
  const { serving, clock } = world;
  const hostile: Record<string, string>[] = [
    { window: '9999999h', 'panic-window-percentage': '1e300' },
    { window: '-1h', 'scale-down-delay': '-9999999h' },
    { 'min-scale': '1e300', 'max-scale': '1e301', 'initial-scale': '0.5', 'activation-scale': '1e99' },
    { target: '1e-300', 'target-utilization-percentage': '1e-300' },
    { metric: 'nonsense', target: 'NaN' },
  ];
  for (const [i, given] of hostile.entries()) {
    const annotations = Object.fromEntries(Object.entries(given).map(([k, v]) => [`autoscaling.knative.dev/${k}`, v]));
    await serving.client.create(PodAutoscalerKind, {
      apiVersion: 'autoscaling.internal.knative.dev/v1alpha1',
      kind: 'PodAutoscaler',
      metadata: { name: `a-hostile-${i}`, namespace: 'default', annotations },
      spec: {
        containerConcurrency: -5,
        scaleTargetRef: { name: 'web-00001-deployment' },
        protocolType: 'http1',
        reachability: 'Unreachable',
      },
    });
  }
  await serving.client.delete(PodAutoscalerKind, inDefault('a-hostile-2')); // It would scale what it names.
  await clock.advance(2_000);
  await world.report({ averageConcurrency: 300, requestCount: 300 });
  await clock.advance(1_000);
  await world.report({ averageConcurrency: 300, requestCount: 300 });
  await clock.advance(1_000);
  await serving.world.until(DeploymentKind, deployment, (d) => (d?.spec.replicas ?? 0) >= 5);
});
