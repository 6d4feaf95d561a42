import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Deployment, DeploymentKind } from '../api/apps/deployment.ts';
import { CoreServiceKind } from '../api/core/service.ts';
import type { Kind } from '../api/kind.ts';
import { type Conditioned, conditionOf, controllerReference, type KubeObject } from '../api/meta.ts';
import { IngressKind } from '../api/networking/ingress.ts';
import { ConfigurationKind } from '../api/serving/configuration.ts';
import { PodAutoscalerKind } from '../api/serving/pod-autoscaler.ts';
import { RevisionKind } from '../api/serving/revision.ts';
import { RouteKind } from '../api/serving/route.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { runControllers } from '../kube/runner.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../observe/log.ts';
import { servingControllers } from './index.ts';
import {
  anyImage,
  digest,
  inDefault,
  openServingWorld,
  revisionLabelOf,
  secondsAgo,
  stateOf,
} from './testing/serving-world.ts';

test('a Service becomes a revision that is pinned, deployed, scaled and routed', async (t) => {
  const serving = await openServingWorld(t);
  const service = await serving.runningService('web');
  assert.equal(service.status?.url, 'http://web.default.localhost:8080');
  assert.deepEqual(service.status?.address, { url: 'http://web.default.svc.cluster.local' });
  assert.equal(service.status?.latestReadyRevisionName, 'web-00001');
  assert.deepEqual(service.status?.traffic, [{ revisionName: 'web-00001', latestRevision: true, percent: 100 }]);
  assert.equal(typeof service.metadata.annotations?.['serving.knative.dev/creator'], 'string');

  const revision = await serving.revision('web-00001', (r) => revisionLabelOf(r) === 'active');
  const imageDigest = `docker.io/library/web@${digest}`;
  assert.deepEqual(revision.status?.containerStatuses, [{ name: 'user-container', imageDigest }]);
  assert.equal(revision.metadata.labels?.['serving.knative.dev/service'], 'web');
  const deployment = await serving.deployment('web-00001');
  assert.equal(deployment.spec.template.spec.containers[0]?.image, imageDigest);
  assert.equal(deployment.spec.replicas, 1);

  const ingress = await serving.client.get(IngressKind, inDefault('web'));
  assert.deepEqual(
    ingress?.spec.rules?.map(({ hosts }) => hosts?.[0]),
    ['web.default.svc.cluster.local', 'web.default.localhost'],
  );
  const placeholder = await serving.client.get(CoreServiceKind, inDefault('web'));
  assert.equal(placeholder?.spec.type, 'ExternalName');
  // Any gateway can follow an Ingress: what its splits name is there, and selects the revision's pods.
  const { serviceName = '', servicePort } = ingress?.spec.rules?.[0]?.http?.paths[0]?.splits[0] ?? {};
  const named = await serving.client.get(CoreServiceKind, inDefault(serviceName));
  assert.equal(named?.spec.ports?.[0]?.port, servicePort);
  assert.deepEqual(named?.spec.selector, deployment.spec.selector.matchLabels);
  const autoscaler = await serving.client.get(PodAutoscalerKind, inDefault('web-00001'));
  assert.equal(autoscaler?.status?.actualScale, 1);
});

test('a revision has one Service: one of another name, as it had before, goes', async (t) => {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  const revision = await serving.revision('web-00001', Boolean);
  const metadata = { ...inDefault('web-00001-private'), ownerReferences: [controllerReference(revision)] };
  await serving.client.create(CoreServiceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, name: 'web-00001-private' },
    spec: { ports: [{ port: 80 }] },
  });
  await serving.world.until(CoreServiceKind, inDefault('web-00001-private'), (service) => service === undefined);
  assert.ok(await serving.client.get(CoreServiceKind, inDefault('web-00001')));
});

test('conditions say since when they are so, however often they are written', async (t) => {
  const serving = await openServingWorld(t);
  const kinds = [ServiceKind, ConfigurationKind, RouteKind, RevisionKind, PodAutoscalerKind] as Kind[];
  type WithConditions = KubeObject & { status?: Conditioned };
  const timesOf = (object: WithConditions) =>
    (object.status?.conditions ?? []).map(({ type, lastTransitionTime }) => `${type} ${lastTransitionTime}`);
  const nameOf = (kind: Kind) => ([RevisionKind, PodAutoscalerKind].includes(kind as never) ? 'web-00001' : 'web');
  const longAgo = '2020-01-01T00:00:00Z';
  await serving.runningService('web');
  await serving.revision('web-00001', (r) => stateOf(r, 'Active') === 'True');
  for (const kind of kinds) {
    const conditions = (o: WithConditions | undefined) => o?.status?.conditions ?? [];
    const stored = (await serving.client.get(kind, inDefault(nameOf(kind)))) as WithConditions;
    const aged = conditions(stored).map((condition) => ({ ...condition, lastTransitionTime: longAgo }));
    // With a status that is wrong, too, so that its controller must write it.
    const status = { ...stored.status, conditions: aged, observedGeneration: 99 };
    await serving.client.patch(kind, inDefault(nameOf(kind)), { type: 'merge', patch: { status } }, 'status');
    const written = (await serving.world.until(
      kind,
      inDefault(nameOf(kind)),
      (o) => o && (o as WithConditions).status?.observedGeneration !== 99,
    )) as WithConditions;
    assert.deepEqual(
      timesOf(written),
      aged.map(({ type }) => `${type} ${longAgo}`),
      kind.kind,
    );
  }
});

test('a settled Service is written no more, not even by controllers that start anew', async (t) => {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  await serving.world.until(
    PodAutoscalerKind,
    inDefault('web-00001'),
    (pa) => pa?.spec.reachability === 'Reachable' && pa.status?.observedGeneration === pa.metadata.generation,
  );
  await serving.revision('web-00001', (r) => stateOf(r, 'Active') === 'True');
  const writes: string[] = [];
  const noting = new Proxy(serving.client, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (['create', 'update', 'patch', 'delete', 'scale'].includes(String(name)))
          writes.push(`${String(name)} ${JSON.stringify(args)}`);
        return (value as (...a: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const controllers = servingControllers({ registry: anyImage, domain: 'localhost', gatewayPort: 8080 });
  let open = 0;
  let seen = 0;
  let settled = () => {};
  const allSeen = new Promise<void>((resolve) => {
    settled = resolve;
  });
  const watched = controllers.map((controller) => ({
    ...controller,
    async reconcile(...[object, context]: Parameters<typeof controller.reconcile>) {
      open++;
      try {
        return await controller.reconcile(object, context);
      } finally {
        // Service, Configuration (twice: its collector), Revision, Route, Ingress, PodAutoscaler.
        open--;
        if (++seen >= 7 && open === 0) settled();
      }
    },
  }));
  const again = await runControllers(watched, { client: noting, clock: systemClock, log: silentLogger });
  await allSeen;
  await again.stop();
  assert.deepEqual(writes, []);
});

test('traffic moves to a new revision once it is ready, and the old one is put in reserve', async (t) => {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  await serving.changeService('web', ({ spec }) => {
    spec.template.spec.containers[0] = { name: 'user-container', image: 'web:2' };
  });
  const waiting = await serving.service('web', (s) => s.status?.latestCreatedRevisionName === 'web-00002');
  assert.equal(waiting.status?.traffic?.[0]?.revisionName, 'web-00001');
  await serving.bringUp('web-00002');
  const moved = await serving.readyService('web');
  assert.equal(moved.status?.traffic?.[0]?.revisionName, 'web-00002');
  await serving.revision('web-00001', (r) => revisionLabelOf(r) === 'reserve');
  const old = await serving.world.until(
    PodAutoscalerKind,
    inDefault('web-00001'),
    (pa) => pa?.spec.reachability === 'Unreachable',
  );
  assert.ok(old);
});

test('traffic is split by percent, tags get addresses, and those that go take their Services along', async (t) => {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  await serving.changeService('web', ({ spec }) => {
    spec.template.spec.containers[0] = { name: 'user-container', image: 'web:2' };
    spec.traffic = [
      { revisionName: 'web-00001', percent: 80 },
      { latestRevision: true, percent: 20, tag: 'next' },
    ];
  });
  await serving.bringUp('web-00002');
  const service = await serving.readyService('web');
  assert.deepEqual(service.status?.traffic, [
    { revisionName: 'web-00001', latestRevision: false, percent: 80 },
    {
      revisionName: 'web-00002',
      latestRevision: true,
      percent: 20,
      tag: 'next',
      url: 'http://next-web.default.localhost:8080',
    },
  ]);
  assert.ok(await serving.client.get(CoreServiceKind, inDefault('next-web')));
  await serving.changeService('web', ({ spec }) => {
    spec.traffic = [{ latestRevision: true, percent: 100 }];
  });
  await serving.world.until(CoreServiceKind, inDefault('next-web'), (s) => s === undefined);
  await serving.readyService('web');

  await serving.changeService('web', ({ spec }) => {
    spec.traffic = [{ revisionName: 'web-00009', percent: 100 }];
  });
  const wrong = await serving.service('web', (s) => stateOf(s, 'Ready') === 'False RevisionMissing');
  assert.equal(conditionOf(wrong, 'Ready')?.message, 'Revision "web-00009" referenced in traffic not found.');
  const ingress = await serving.client.get(IngressKind, inDefault('web'));
  const [split] = ingress?.spec.rules?.[0]?.http?.paths[0]?.splits ?? [];
  assert.equal(split?.serviceName, 'web-00002', 'what was served before still is');
});

test('an image that does not exist is said at every level', async (t) => {
  const serving = await openServingWorld(t);
  await serving.createService('web', { image: 'registry.example/missing:v1' });
  const service = await serving.service('web', (s) => stateOf(s, 'ConfigurationsReady') === 'False RevisionFailed');
  const message = 'Unable to fetch image "registry.example/missing:v1": HTTP 404: manifest unknown';
  assert.equal(conditionOf(service, 'Ready')?.message, `Revision "web-00001" failed with message: ${message}.`);
  const revision = await serving.revision('web-00001', (r) => stateOf(r, 'Ready') === 'False ContainerMissing');
  assert.equal(conditionOf(revision, 'ContainerHealthy')?.message, message);
  assert.equal(await serving.client.get(DeploymentKind, inDefault('web-00001-deployment')), undefined);
});

test('a container that exits or never listens is said within seconds, with its last words', async (t) => {
  const serving = await openServingWorld(t);
  await serving.createService('exits');
  await serving.failPod('exits-00001', { state: { terminated: { exitCode: 7, message: 'no config' } } });
  const exits = await serving.service('exits', (s) => stateOf(s, 'Ready') === 'False RevisionFailed');
  assert.match(conditionOf(exits, 'Ready')?.message ?? '', /Container failed with: no config/);
  await serving.revision('exits-00001', (r) => stateOf(r, 'ContainerHealthy') === 'False ExitCode7');

  await serving.createService('deaf');
  await serving.failPod('deaf-00001', { state: { running: { startedAt: secondsAgo(60) } } });
  const deaf = await serving.revision('deaf-00001', (r) => stateOf(r, 'Ready') === 'False NotListening');
  assert.match(conditionOf(deaf, 'Ready')?.message ?? '', /must listen on the port/);
  await serving.bringUp('deaf-00001');
  await serving.readyService('deaf');

  await serving.createService('slow');
  await serving.failPod('slow-00001', { state: { running: { startedAt: secondsAgo(10) } } });
  const slow = await serving.service('slow', (s) => stateOf(s, 'Ready') === 'Unknown NotListening');
  assert.match(conditionOf(slow, 'Ready')?.message ?? '', /has run for 1\d s without becoming ready/);
});

test('a revision that is scaled to zero stays ready, and is active again when it wakes', async (t) => {
  const serving = await openServingWorld(t);
  await serving.runningService('web');
  const scaleTo = async (replicas: number, ready: number) => {
    await serving.client.scale(DeploymentKind, inDefault('web-00001-deployment'), replicas);
    const deployment = (await serving.world.until(
      DeploymentKind,
      inDefault('web-00001-deployment'),
      (d) => d?.spec.replicas === replicas,
    )) as Deployment;
    await serving.setDeploymentStatus(deployment, ready);
  };
  await scaleTo(0, 0);
  const idle = await serving.revision('web-00001', (r) => r.status?.actualReplicas === 0);
  assert.equal(stateOf(idle, 'Active'), 'False NoTraffic');
  assert.equal(stateOf(idle, 'Ready'), 'True');
  await scaleTo(1, 0);
  const waking = await serving.revision('web-00001', (r) => stateOf(r, 'Active') === 'Unknown Queued');
  assert.equal(stateOf(waking, 'Ready'), 'True');
  await scaleTo(1, 1);
  await serving.revision('web-00001', (r) => stateOf(r, 'Active') === 'True');
  assert.equal(stateOf(await serving.readyService('web'), 'Ready'), 'True');
});

test('what a Service would own but somebody else does is left alone and said', async (t) => {
  const serving = await openServingWorld(t);
  await serving.client.create(RouteKind, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'web', namespace: 'default' },
    spec: { traffic: [{ configurationName: 'other', percent: 100 }] },
  });
  await serving.createService('web');
  const service = await serving.service('web', (s) => stateOf(s, 'RoutesReady') === 'False NotOwned');
  assert.equal(conditionOf(service, 'RoutesReady')?.message, 'There is an existing Route "web" that we do not own.');
});

test('what is refused says field, value and rule, wherever a service account is named', async (t) => {
  const serving = await openServingWorld(t);
  const spec = { serviceAccountName: 'foo@bar.baz', containers: [{ name: '', image: 'web' }] };
  const service = await serving.client.create(ServiceKind, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { template: { spec: { ...spec, serviceAccountName: 'default' } } },
  });
  assert.equal(service.spec.template.spec.serviceAccountName, 'default');
  const rule =
    /foo@bar\.baz: spec\.template\.spec\.serviceAccountName\na lowercase RFC 1123 subdomain must .* regex used/;
  const template = { spec: { template: { spec } } };
  await assert.rejects(serving.client.patch(ServiceKind, inDefault('web'), { type: 'merge', patch: template }), {
    code: 422,
    message: rule,
  });
  const metadata = { name: 'lone', namespace: 'default' };
  const revision = { apiVersion: 'serving.knative.dev/v1', kind: 'Revision', metadata, spec };
  await assert.rejects(serving.client.create(RevisionKind, revision), {
    code: 422,
    message: /foo@bar\.baz: spec\.serviceAccountName\na lowercase RFC 1123 subdomain/,
  });
});

test('a revision never changes, and who made a Service cannot be rewritten', async (t) => {
  const serving = await openServingWorld(t);
  const created = await serving.createService('web');
  const revision = await serving.revision('web-00001', () => true);
  await assert.rejects(
    serving.client.patch(RevisionKind, inDefault('web-00001'), {
      type: 'merge',
      patch: { spec: { timeoutSeconds: 10 } },
    }),
    { code: 422, message: /spec: Forbidden: Immutable fields changed/ },
  );
  assert.equal(revision.spec.timeoutSeconds, 300);
  const forged = { metadata: { annotations: { 'serving.knative.dev/creator': 'somebody-else' } } };
  await assert.rejects(serving.client.patch(ServiceKind, inDefault('web'), { type: 'merge', patch: forged }), {
    code: 422,
    message: /annotation value is immutable/,
  });
  assert.equal(created.metadata.generation, 1);
});

test('a revision name of one’s own is used, and one that is taken keeps traffic where it is', async (t) => {
  const serving = await openServingWorld(t);
  const named = (name: string, image: string) => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Configuration',
    metadata: { name, namespace: 'default' },
    spec: { template: { metadata: { name: `${name}-one` }, spec: { containers: [{ name: '', image }] } } },
  });
  await serving.client.create(ConfigurationKind, named('web', 'web:1'));
  const revision = await serving.revision('web-one', () => true);
  assert.equal(revision.metadata.labels?.['serving.knative.dev/configurationGeneration'], '1');

  await serving.client.create(RevisionKind, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Revision',
    metadata: { name: 'app-one', namespace: 'default' },
    spec: { containers: [{ name: '', image: 'strange' }] },
  });
  await serving.client.create(ConfigurationKind, named('app', 'app:1'));
  const configuration = await serving.world.until(
    ConfigurationKind,
    inDefault('app'),
    (c) => c !== undefined && conditionOf(c, 'Ready')?.status === 'False',
  );
  assert.match(
    (configuration && conditionOf(configuration, 'Ready')?.message) ?? '',
    /^Revision creation failed with message: .*"app-one" already exists\.$/,
  );
});
