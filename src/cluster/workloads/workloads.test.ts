import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ensureNamespace, openWorld, type World } from '../../../test/world.ts';
import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../api/apiextensions/custom-resource-definition.ts';
import { kindOfDefinition } from '../../api/apiextensions/kind-of-definition.ts';
import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { type ReplicaSet, ReplicaSetKind } from '../../api/apps/replica-set.ts';
import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { NamespaceKind } from '../../api/core/namespace.ts';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { ServiceAccountKind } from '../../api/core/service-account.ts';
import { EndpointSliceKind } from '../../api/discovery/endpoint-slice.ts';
import { fieldForbidden } from '../../api/field-error.ts';
import { controllerReference, type ObjectMeta, timestamp } from '../../api/meta.ts';
import { isConflict } from '../../api/status.ts';
import type { Admission } from '../../kube/admission.ts';
import { workloadControllers } from './index.ts';

let world: World;

/** A namespace for one test. */
let namespaces = 0;
async function freshNamespace(): Promise<string> {
  const name = `test-${++namespaces}`;
  await ensureNamespace(world.client, name);
  return name;
}

function deployment(namespace: string, changes: Partial<Deployment['spec']> = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: template('example.com/web:1'),
      ...changes,
    },
  };
}

const template = (image: string) => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image, ports: [{ name: 'http', containerPort: 8080 }] }] },
});

/** Does the node agent's part for a pod: it runs, on that port, and is ready. */
async function run(pod: Pod, hostPort = 40_000): Promise<void> {
  const { client, clock } = world;
  for (;;) {
    const current = await client.get(PodKind, { namespace: pod.metadata.namespace ?? '', name: pod.metadata.name });
    if (!current || current.metadata.deletionTimestamp) return;
    try {
      const annotations = {
        ...current.metadata.annotations,
        'node.kittiwake.dev/ports': JSON.stringify({ 8080: hostPort }),
      };
      const bound = await client.update(PodKind, {
        ...current,
        metadata: { ...current.metadata, annotations },
        spec: { ...current.spec, nodeName: 'local' },
      });
      const ready = { type: 'Ready', status: 'True' as const, lastTransitionTime: timestamp(clock.now()) };
      const status = { ...bound.status, phase: 'Running' as const, podIP: '127.0.0.1', conditions: [ready] };
      await client.update(PodKind, { ...bound, status }, 'status');
      return;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}

/** Ends pods that are being deleted, as the node agent does, until the test is over. */
function endPods(namespace: string): () => void {
  const stop = new AbortController();
  const watching = (async () => {
    for await (const event of world.client.watch(PodKind, { namespace, signal: stop.signal })) {
      if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue;
      const { deletionTimestamp, name } = event.object.metadata;
      if (deletionTimestamp) await world.client.delete(PodKind, { namespace, name }, { gracePeriodSeconds: 0 });
    }
  })();
  return () => {
    stop.abort();
    return watching;
  };
}

const configMap = (namespace: string, name: string, metadata: Partial<ObjectMeta> = {}): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace, ...metadata },
});

const isLive = (pod: Pod) => pod.metadata.deletionTimestamp === undefined;

describe('workloads', () => {
  before(async () => {
    world = await openWorld({ controllers: workloadControllers() });
  });
  after(() => world.stop());

  test('a Deployment makes a ReplicaSet and its pods, and says when they are available', async () => {
    const namespace = await freshNamespace();
    await world.client.create(DeploymentKind, deployment(namespace));
    const pods = await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    await Promise.all(pods.map((pod) => run(pod)));
    const key = { namespace, name: 'web' };
    const done = await world.until(DeploymentKind, key, (d) => d?.status?.availableReplicas === 2);
    assert.equal(done?.status?.replicas, 2);
    assert.equal(done?.status?.updatedReplicas, 2);
    assert.equal(done?.status?.unavailableReplicas, undefined);
    assert.equal(done?.status?.observedGeneration, done?.metadata.generation);
    assert.equal(done?.metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
    assert.deepEqual(
      done?.status?.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
      ['Available True MinimumReplicasAvailable', 'Progressing True NewReplicaSetAvailable'],
    );
    const [replicaSet] = await world.untilAll(ReplicaSetKind, namespace, () => true);
    const hash = replicaSet?.metadata.labels?.['pod-template-hash'];
    assert.equal(replicaSet?.metadata.name, `web-${hash}`);
    assert.ok(pods.every((pod) => pod.metadata.labels?.['pod-template-hash'] === hash));
    assert.ok(pods.every((pod) => pod.metadata.name.startsWith(`web-${hash}-`)));
  });

  test('a Deployment follows its scale, up and down, to nothing and back', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace, { replicas: 0 }));
    await world.untilAll(ReplicaSetKind, namespace, (all) => all.length === 1);
    await world.client.scale(DeploymentKind, key, 5);
    const pods = await world.untilAll(PodKind, namespace, (all) => all.length === 5);
    const [first] = pods;
    assert.ok(first);
    await run(first);
    await world.client.scale(DeploymentKind, key, 1);
    const left = await world.untilAll(PodKind, namespace, (all) => all.filter(isLive).length === 1);
    assert.equal(left.filter(isLive)[0]?.metadata.name, first.metadata.name, 'the ready pod stays');
    await world.client.scale(DeploymentKind, key, 0);
    await world.untilAll(PodKind, namespace, (all) => all.filter(isLive).length === 0);
    const scaled = await world.until(DeploymentKind, key, (d) => d?.status?.replicas === undefined);
    assert.equal(scaled?.spec.replicas, 0);
  });

  test('a new template is rolled out without going below what must be available', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
    await world.client.create(DeploymentKind, deployment(namespace, { strategy: { rollingUpdate } }));
    const stop = new AbortController();
    const availableCounts: number[] = [];
    const agent = (async () => {
      const isReady = new Set<string>();
      for await (const event of world.client.watch(PodKind, { namespace, signal: stop.signal })) {
        if (event.type === 'BOOKMARK') continue;
        const { object } = event;
        const uid = object.metadata.uid ?? '';
        if (event.type === 'DELETED' || object.metadata.deletionTimestamp) isReady.delete(uid);
        else if (object.status?.phase === 'Running') isReady.add(uid);
        else await run(object);
        availableCounts.push(isReady.size);
      }
    })();
    await world.until(DeploymentKind, key, (d) => d?.status?.availableReplicas === 2);
    const before = availableCounts.length;
    await world.client.patch(DeploymentKind, key, {
      type: 'merge',
      patch: { spec: { template: template('example.com/web:2') } },
    });
    await world.until(
      DeploymentKind,
      key,
      (d) =>
        d?.metadata.annotations?.['deployment.kubernetes.io/revision'] === '2' &&
        d.status?.observedGeneration === d.metadata.generation &&
        d.status?.updatedReplicas === 2 &&
        d.status.replicas === 2,
    );
    stop.abort();
    await agent;
    assert.ok(Math.min(...availableCounts.slice(before)) >= 2, `available: ${availableCounts.slice(before)}`);
    const sets = await world.untilAll(ReplicaSetKind, namespace, () => true);
    assert.deepEqual(sets.map((set) => set.spec.replicas).sort(), [0, 2]);
  });

  test('Recreate ends all old pods before the first new one', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace, { replicas: 1, strategy: { type: 'Recreate' } }));
    const [old] = await world.untilAll(PodKind, namespace, (all) => all.length === 1);
    assert.ok(old);
    await run(old);
    await world.client.patch(DeploymentKind, key, {
      type: 'merge',
      patch: { spec: { template: template('example.com/web:2') } },
    });
    await world.untilAll(PodKind, namespace, (all) => all.some((pod) => !isLive(pod)));
    assert.equal((await world.client.list(ReplicaSetKind, { namespace })).items.length, 1);
    await world.client.delete(PodKind, { namespace, name: old.metadata.name }, { gracePeriodSeconds: 0 });
    const pods = await world.untilAll(PodKind, namespace, (all) => all.filter(isLive).length === 1);
    assert.equal(pods.filter(isLive)[0]?.spec.containers[0]?.image, 'example.com/web:2');
  });

  test('a pod that is deleted is replaced, and one without its labels is let go', async () => {
    const namespace = await freshNamespace();
    await world.client.create(DeploymentKind, deployment(namespace, { replicas: 1 }));
    const [first] = await world.untilAll(PodKind, namespace, (all) => all.length === 1);
    assert.ok(first);
    await world.client.delete(PodKind, { namespace, name: first.metadata.name });
    const [second] = await world.untilAll(
      PodKind,
      namespace,
      (all) => all.length === 1 && all[0]?.metadata.uid !== first.metadata.uid,
    );
    assert.ok(second);
    const key = { namespace, name: second.metadata.name };
    await world.client.patch(PodKind, key, { type: 'merge', patch: { metadata: { labels: { app: 'other' } } } });
    const pods = await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    const released = pods.find((pod) => pod.metadata.name === second.metadata.name);
    assert.deepEqual(released?.metadata.ownerReferences ?? [], []);
  });

  test('a ReplicaSet adopts pods that it selects and that belong to nobody', async () => {
    const namespace = await freshNamespace();
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'lone', namespace, labels: { app: 'web' } },
      spec: template('i:1').spec,
    };
    await world.client.create(PodKind, pod);
    const replicaSet: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'web', namespace },
      spec: { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: template('i:1') },
    };
    await world.client.create(ReplicaSetKind, replicaSet);
    const adopted = await world.until(PodKind, { namespace, name: 'lone' }, (p) => p?.metadata.ownerReferences?.length);
    assert.equal(adopted?.metadata.ownerReferences?.[0]?.name, 'web');
    await world.until(ReplicaSetKind, { namespace, name: 'web' }, (set) => set?.status?.replicas === 1);
    assert.equal((await world.client.list(PodKind, { namespace })).items.length, 1);
  });

  test("a Service's slice has the addresses of its pods, and what they are good for", async () => {
    const namespace = await freshNamespace();
    const service: CoreService = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace },
      spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    };
    await world.client.create(CoreServiceKind, service);
    await world.untilAll(EndpointSliceKind, namespace, (all) => all.length === 1 && all[0]?.endpoints.length === 0);
    await world.client.create(DeploymentKind, deployment(namespace));
    const [one, two] = await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    assert.ok(one && two);
    await Promise.all([run(one, 41_000), run(two, 42_000)]);
    const slices = await world.untilAll(
      EndpointSliceKind,
      namespace,
      (all) => all.flatMap((slice) => slice.endpoints.filter((e) => e.conditions?.ready)).length === 2,
    );
    assert.deepEqual(slices.map((slice) => slice.ports?.[0]?.port).sort(), [41_000, 42_000]);
    assert.ok(slices.every((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === 'web'));
    await world.client.delete(PodKind, { namespace, name: one.metadata.name });
    const draining = await world.untilAll(EndpointSliceKind, namespace, (all) =>
      all.some((slice) => slice.endpoints.some((e) => e.conditions?.terminating)),
    );
    const endpoint = draining.flatMap((slice) => slice.endpoints).find((e) => e.targetRef?.name === one.metadata.name);
    assert.deepEqual(endpoint?.conditions, { ready: false, serving: true, terminating: true });
    await world.client.delete(PodKind, { namespace, name: one.metadata.name }, { gracePeriodSeconds: 0 });
    await world.untilAll(EndpointSliceKind, namespace, (all) => all.length === 1);
  });

  test('deleting a Deployment takes everything below it along', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace));
    await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    await world.client.delete(DeploymentKind, key);
    await world.untilAll(ReplicaSetKind, namespace, (all) => all.length === 0);
    await world.untilAll(PodKind, namespace, (all) => all.length === 0);
  });

  test('in the foreground a Deployment is gone after its dependents', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace));
    const pods = await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    await Promise.all(pods.map((pod) => run(pod)));
    await world.client.delete(DeploymentKind, key, { propagationPolicy: 'Foreground' });
    await world.untilAll(PodKind, namespace, (all) => all.length === 2 && !all.some(isLive));
    assert.ok(await world.client.get(DeploymentKind, key), 'it waits for its pods');
    const stopEnding = endPods(namespace);
    await world.until(DeploymentKind, key, (d) => d === undefined);
    assert.equal((await world.client.list(PodKind, { namespace })).items.length, 0);
    stopEnding();
  });

  test('an orphaning deletion leaves the dependents, without their owner', async () => {
    const namespace = await freshNamespace();
    await world.client.create(DeploymentKind, deployment(namespace));
    const pods = await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    const [replicaSet] = await world.untilAll(ReplicaSetKind, namespace, (all) => all.length === 1);
    assert.ok(replicaSet);
    await world.client.delete(DeploymentKind, { namespace, name: 'web' }, { propagationPolicy: 'Orphan' });
    await world.until(DeploymentKind, { namespace, name: 'web' }, (d) => d === undefined);
    const left = await world.until(
      ReplicaSetKind,
      { namespace, name: replicaSet.metadata.name },
      (set) => set !== undefined,
    );
    assert.deepEqual(left?.metadata.ownerReferences ?? [], []);
    const podsLeft = await world.client.list(PodKind, { namespace });
    assert.deepEqual(podsLeft.items.map((pod) => pod.metadata.uid).sort(), pods.map((pod) => pod.metadata.uid).sort());
  });

  test('an object whose owner never was is collected; one with an owner left is not', async () => {
    const namespace = await freshNamespace();
    const absent = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: 'no-such-uid' };
    const owner = await world.client.create(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'owner', namespace },
    });
    const present = { ...absent, uid: owner.metadata.uid ?? '' };
    const make = (name: string, ownerReferences: (typeof absent)[]) =>
      world.client.create(ConfigMapKind, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace, ownerReferences },
      });
    await Promise.all([make('lost', [absent]), make('held', [absent, present])]);
    await world.until(ConfigMapKind, { namespace, name: 'lost' }, (object) => object === undefined);
    const held = await world.until(
      ConfigMapKind,
      { namespace, name: 'held' },
      (o) => o?.metadata.ownerReferences?.length === 1,
    );
    assert.equal(held?.metadata.ownerReferences?.[0]?.uid, owner.metadata.uid);
  });

  test('a namespace has its account and the root certificate, and gets them back', async () => {
    const namespace = await freshNamespace();
    await world.until(ServiceAccountKind, { namespace, name: 'default' }, (account) => account !== undefined);
    const key = { namespace, name: 'kube-root-ca.crt' };
    const first = await world.until(ConfigMapKind, key, (map) => map !== undefined);
    await world.client.delete(ConfigMapKind, key);
    await world.until(ConfigMapKind, key, (map) => map !== undefined && map.metadata.uid !== first?.metadata.uid);
  });

  test('a deleted namespace goes once everything in it is gone, and says what it waits for', async () => {
    const namespace = await freshNamespace();
    await world.client.create(DeploymentKind, deployment(namespace));
    await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    await world.client.create(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'held', namespace, finalizers: ['example.com/hold'] },
    });
    await world.client.delete(NamespaceKind, { name: namespace });
    const waiting = await world.until(NamespaceKind, { name: namespace }, (n) =>
      n?.status?.conditions?.some((c) => c.type === 'NamespaceFinalizersRemaining' && c.status === 'True'),
    );
    assert.equal(waiting?.status?.phase, 'Terminating');
    const reasons = waiting?.status?.conditions?.find((c) => c.type === 'NamespaceFinalizersRemaining');
    assert.match(reasons?.message ?? '', /example\.com\/hold in 1 resource instances/);
    await world.client.patch(
      ConfigMapKind,
      { namespace, name: 'held' },
      { type: 'merge', patch: { metadata: { finalizers: null } } },
    );
    await world.until(NamespaceKind, { name: namespace }, (n) => n === undefined);
    assert.equal((await world.client.list(PodKind, { namespace })).items.length, 0);
  });

  test('a deleted namespace keeps what its pods may need until the last of them is gone', async () => {
    const namespace = await freshNamespace();
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'held', namespace, finalizers: ['example.com/hold'] },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    await world.client.create(PodKind, pod);
    const needed = { namespace, name: 'needed' };
    await world.client.create(ConfigMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: needed });
    await world.client.delete(NamespaceKind, { name: namespace });
    const isRemaining = (c: { type: string; status: string }) =>
      c.type === 'NamespaceContentRemaining' && c.status === 'True';
    const waiting = await world.until(NamespaceKind, { name: namespace }, (n) =>
      n?.status?.conditions?.some(isRemaining),
    );
    const said = waiting?.status?.conditions?.find(isRemaining)?.message;
    assert.equal(said, 'Some resources are remaining: pods. has 1 resource instances');
    const kept = await world.client.get(ConfigMapKind, needed);
    assert.ok(kept && kept.metadata.deletionTimestamp === undefined);
    const letGo = { type: 'merge' as const, patch: { metadata: { finalizers: null } } };
    await world.client.patch(PodKind, { namespace, name: 'held' }, letGo);
    await world.until(NamespaceKind, { name: namespace }, (n) => n === undefined);
  });

  test('whatever the scale was on the way, the last one counts, and there is never a pod too many', async () => {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace, { replicas: 0 }));
    const stop = new AbortController();
    const live = new Set<string>();
    let most = 0;
    const counting = (async () => {
      for await (const event of world.client.watch(PodKind, { namespace, signal: stop.signal })) {
        if (event.type === 'BOOKMARK') continue;
        const { metadata } = event.object;
        if (event.type === 'DELETED' || metadata.deletionTimestamp) live.delete(metadata.name);
        else live.add(metadata.name);
        most = Math.max(most, live.size);
      }
    })();
    for (const replicas of [3, 7, 1, 5, 0, 7, 2, 6, 4]) {
      await world.client.scale(DeploymentKind, key, replicas);
      // Some changes come in the middle of the work for the one before, some after it.
      if (replicas % 2 === 1) await world.untilAll(PodKind, namespace, (all) => all.filter(isLive).length > 0);
    }
    await world.untilAll(PodKind, namespace, (all) => all.filter(isLive).length === 4);
    await world.until(DeploymentKind, key, (d) => d?.status?.replicas === 4);
    stop.abort();
    await counting;
    assert.equal(live.size, 4);
    assert.ok(most <= 7, `${most} pods at once`);
  });

  test("objects of other people's kinds are collected, too", async () => {
    const namespace = await freshNamespace();
    const definition: CustomResourceDefinition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    };
    await world.client.create(CustomResourceDefinitionKind, definition);
    const thing = kindOfDefinition(definition);
    assert.ok(thing);
    const name = { name: definition.metadata.name };
    await world.until(CustomResourceDefinitionKind, name, (d) =>
      d?.status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True'),
    );
    const owner = await world.client.create(ConfigMapKind, configMap(namespace, 'owner'));
    const make = (metadata: ObjectMeta) =>
      world.client.create(thing, { apiVersion: 'example.com/v1', kind: 'Thing', metadata: { namespace, ...metadata } });
    await make({ name: 'owned', ownerReferences: [{ ...controllerReference(owner) }] });
    await make({ name: 'free' });
    await world.client.delete(ConfigMapKind, { namespace, name: 'owner' });
    await world.until(thing, { namespace, name: 'owned' }, (object) => object === undefined);
    await world.client.delete(NamespaceKind, { name: namespace });
    await world.until(NamespaceKind, { name: namespace }, (n) => n === undefined);
    assert.deepEqual((await world.client.list(thing)).items, []);
    await world.client.delete(CustomResourceDefinitionKind, name);
    await world.until(CustomResourceDefinitionKind, name, (d) => d === undefined);
  });
});

test('that pods are refused is said by the ReplicaSet and the Deployment, until they no longer are', async () => {
  let isRefusing = true;
  const quota: Admission<Pod> = {
    name: 'quota',
    kinds: [PodKind],
    validate: ({ operation }) =>
      isRefusing && operation === 'CREATE' ? [fieldForbidden('spec', 'quota exceeded')] : [],
  };
  world = await openWorld({ controllers: workloadControllers(), admission: () => [quota as Admission] });
  try {
    const namespace = await freshNamespace();
    const key = { namespace, name: 'web' };
    await world.client.create(DeploymentKind, deployment(namespace));
    const failed = await world.until(DeploymentKind, key, (d) =>
      d?.status?.conditions?.some((c) => c.type === 'ReplicaFailure'),
    );
    const condition = failed?.status?.conditions?.find((c) => c.type === 'ReplicaFailure');
    assert.equal(condition?.reason, 'FailedCreate');
    assert.match(condition?.message ?? '', /quota exceeded/);
    isRefusing = false;
    await world.untilAll(PodKind, namespace, (all) => all.length === 2);
    await world.until(DeploymentKind, key, (d) => !d?.status?.conditions?.some((c) => c.type === 'ReplicaFailure'));
  } finally {
    await world.stop();
  }
});
