import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { type ReplicaSet, ReplicaSetKind } from '../../../../api/apps/replica-set.ts';
import { ConfigMapKind } from '../../../../api/core/config-map.ts';
import { type Pod, PodKind } from '../../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../../api/core/pod-spec.ts';
import { serviceAccountPath, tokenVolumeName } from '../../../../api/core/service-account.ts';
import { controllerReference, keyOf } from '../../../../api/meta.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { findProgram } from '../../../../lib/system-programs.ts';
import { until } from '../../../../lib/testing/until.ts';
import { silentLogger } from '../../../../observe/log.ts';
import { ExpectedPods } from '../../../expected-pods.ts';
import { openTestRegistry, type TestLayer, type TestRegistry } from '../../testing/test-images.ts';
import { openTestNode, type TestNode } from '../../testing/test-node.ts';
import { canHold } from './held.ts';
import { containerDriver } from './index.ts';
import { hostImage } from './testing/host-image.ts';
import { noContainers } from './testing/test-driver.ts';

const isHolding = noContainers === false && (await canHold(findProgram('runc') ?? ''));
const skip = noContainers || (isHolding ? false : 'this OCI runtime has no way to wait');
const never = new AbortController().signal;

describe('spares of pods at zero', { skip }, () => {
  const expectedPods = new ExpectedPods();
  let registry: TestRegistry;
  let node: TestNode;
  let image: string;

  before(async () => {
    registry = await openTestRegistry();
    const options = { openDriver: containerDriver, expectedPods, sparesMax: 2, housekeepingPeriodMs: 100 };
    node = await openTestNode(registry.client, options);
    image = await registry.push([shellLayer()], { Entrypoint: ['/bin/sh', '-c'], WorkingDir: '/', Labels: {} });
  });
  after(async () => {
    await node?.stop();
    await registry?.stop();
    assert.deepEqual(readFileSync('/proc/self/mountinfo', 'utf8').match(new RegExp(node.dir, 'g')), null);
  });
  afterEach(async () => {
    for (const { metadata } of (await node.client.list(PodKind, {})).items) await node.remove(metadata.name);
    for (const owner of (await node.client.list(ReplicaSetKind, {})).items) {
      await node.client.delete(ReplicaSetKind, keyOf(owner));
    }
    await until(() => sandboxes().length === 0, 'no spare is left');
    await until(() => readdirSync(join(node.dir, 'node/volumes')).length === 0, 'nor its volumes');
  });

  const podsDir = () => join(node.dir, 'node/containers/pods');
  const sandboxes = () => readdirSync(podsDir());
  /** Whether the pod's program was held, and let go. */
  const wasHeld = ({ metadata: { uid = '' } }: Pod) => existsSync(join(podsDir(), uid, 'c/released'));
  /** Those that wait. */
  const spares = () => sandboxes().filter((uid) => existsSync(join(podsDir(), uid, 'c/hold')) && isExpected(uid));
  const isExpected = (uid: string) => !existsSync(join(podsDir(), uid, 'c/released'));

  function owner(name: string, container: Partial<Container> = {}, spec: Partial<PodSpec> = {}): Promise<ReplicaSet> {
    const labels = { app: name };
    const script = 'echo "$HOSTNAME $POD_NAME"; while read -r line; do echo "$line"; done </etc/hosts; exec sleep 1000';
    const env = [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }];
    return node.client.create(ReplicaSetKind, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 0,
            ...spec,
            containers: [{ name: 'c', image, args: [script], env, ...container }],
          },
        },
      },
    });
  }

  /** As the ReplicaSet's controller does it. */
  async function wake(replicaSet: ReplicaSet, admitted: Partial<PodSpec> = {}): Promise<Pod> {
    const { template } = replicaSet.spec;
    const { name } = replicaSet.metadata;
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: '',
        generateName: `${name}-`,
        namespace: 'default',
        labels: template.metadata?.labels ?? {},
        ownerReferences: [controllerReference(replicaSet)],
      },
      spec: template.spec,
    };
    const taken = expectedPods.take(pod, replicaSet);
    const created = await node.client.create(PodKind, { ...taken, spec: { ...withTokenVolume(taken), ...admitted } });
    return node.ready(created.metadata.name);
  }

  async function atZeroWithSpare(replicaSet: ReplicaSet): Promise<void> {
    const pod = await wake(replicaSet);
    assert.equal(wasHeld(pod), false);
    await node.remove(pod.metadata.name);
    await until(() => spares().length === 1, 'there is a spare');
    // The last that is said of it.
    await until(() => Boolean(nameExpectedOf(replicaSet)), 'the pod is expected');
  }

  const nameExpectedOf = (replicaSet: ReplicaSet) => expectedPods.nameOf(replicaSet);

  test('the next pod is the spare: by its name and UID, with its own addresses, variables and logs', async () => {
    const replicaSet = await owner('next');
    await atZeroWithSpare(replicaSet);
    assert.deepEqual((await node.client.list(PodKind, {})).items, [], 'nobody sees it');
    const [uid] = spares();
    const pod = await wake(replicaSet);
    assert.deepEqual([pod.metadata.uid, wasHeld(pod)], [uid, true]);
    const { name } = pod.metadata;
    const ownLine = `${pod.status?.podIP}\t${name}\n`;
    await until(async () => (await node.logs(pod)).includes(ownLine), 'it has printed its names');
    const lines = (await node.logs(pod)).split('\n');
    assert.equal(lines[0], `${name} ${name}`);
    assert.ok(
      lines.some((line) => line.startsWith(`${pod.status?.podIP}\t${name}`)),
      lines.join('\n'),
    );
    assert.deepEqual(spares(), [], 'it is taken once');
    const second = await wake(replicaSet);
    assert.equal(wasHeld(second), false);
    assert.notEqual(second.metadata.uid, uid);
  });

  test('volumes show what the API says when the pod starts, not before', async () => {
    const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'words', namespace: 'default' } } as const;
    const made = await node.client.create(ConfigMapKind, { ...config, data: { word: 'early' } });
    const args = ['read -r word </words/word; echo "$word"; exec sleep 1000'];
    const container = { args, volumeMounts: [{ name: 'words', mountPath: '/words' }] };
    const volumes = [{ name: 'words', configMap: { name: 'words' } }];
    const replicaSet = await owner('volumes', container, { volumes });
    await atZeroWithSpare(replicaSet);
    await node.client.update(ConfigMapKind, { ...made, data: { word: 'late\n' } });
    const pod = await wake(replicaSet);
    assert.equal(wasHeld(pod), true);
    await until(async () => (await node.logs(pod)) === 'late\n', 'it has read the volume');
  });

  test('a spare whose variables are no longer right is not used', async () => {
    const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'colors', namespace: 'default' } } as const;
    const made = await node.client.create(ConfigMapKind, { ...config, data: { COLOR: 'red' } });
    const args = ['echo "$COLOR"; exec sleep 1000'];
    const replicaSet = await owner('variables', { args, envFrom: [{ configMapRef: { name: 'colors' } }] });
    await atZeroWithSpare(replicaSet);
    await node.client.update(ConfigMapKind, { ...made, data: { COLOR: 'blue' } });
    const pod = await wake(replicaSet);
    assert.equal(wasHeld(pod), false);
    await until(async () => (await node.logs(pod)) === 'blue\n', 'it has printed');
  });

  test('a pod of another template is another pod', async () => {
    const replicaSet = await owner('template');
    await atZeroWithSpare(replicaSet);
    const [uid] = spares();
    const template = structuredClone(replicaSet.spec.template);
    template.spec.hostAliases = [{ ip: '10.1.2.3', hostnames: ['elsewhere'] }];
    const changed = { ...replicaSet, spec: { ...replicaSet.spec, template } };
    const pod = await wake(changed);
    assert.notEqual(pod.metadata.uid, uid);
    await until(async () => (await node.logs(pod)).includes('10.1.2.3\telsewhere'), 'it has its own names');
  });

  test('a pod that admission has made another than it was gets a sandbox of its own', async () => {
    const replicaSet = await owner('admitted');
    await atZeroWithSpare(replicaSet);
    const [uid] = spares();
    const pod = await wake(replicaSet, { hostAliases: [{ ip: '10.1.2.3', hostnames: ['elsewhere'] }] });
    assert.deepEqual([pod.metadata.uid, wasHeld(pod)], [uid, false]);
    await until(async () => (await node.logs(pod)).includes('10.1.2.3\telsewhere'), 'it has its own names');
  });

  test('there are no more than so many; the oldest goes', async () => {
    const owners = [await owner('a'), await owner('b'), await owner('c')];
    const uids: string[] = [];
    for (const [index, replicaSet] of owners.entries()) {
      const pod = await wake(replicaSet);
      await node.remove(pod.metadata.name);
      await until(() => nameExpectedOf(replicaSet) !== undefined, 'there is a spare');
      await until(() => spares().length === Math.min(2, index + 1), 'no more than two');
      uids.push(...spares().filter((uid) => !uids.includes(uid)));
    }
    assert.deepEqual(spares().sort(), uids.slice(1).sort());
  });

  test('a spare whose owner, and so whose image, is not wanted any more is gone', async () => {
    const replicaSet = await owner('unwanted');
    await atZeroWithSpare(replicaSet);
    await node.client.delete(ReplicaSetKind, keyOf(replicaSet));
    await until(() => sandboxes().length === 0, 'the spare is gone');
    assert.equal(nameExpectedOf(replicaSet), undefined);
  });

  test('an agent that ends leaves none; what one that was killed has left is gone with the next', async () => {
    const replicaSet = await owner('ends');
    await atZeroWithSpare(replicaSet);
    await node.restartAgent({
      stopPods: false,
      async meanwhile() {
        assert.deepEqual(sandboxes(), []);
        const dataDir = join(node.dir, 'node');
        const dir = join(node.dir, 'image');
        const driver = containerDriver({ clock: systemClock, log: silentLogger, dataDir, address: '127.0.0.1' });
        const metadata = { name: 'killed', namespace: 'default', uid: 'killed' };
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ name: 'c' }] } } as const;
        const sandbox = await driver.sandbox(pod as unknown as Pod, never);
        const isHeld = await sandbox.hold?.(
          {
            id: { podUid: 'killed', container: 'c', restart: 0 },
            spec: { name: 'c' },
            image: hostImage(dir),
            argv: ['/bin/sh', '-c', 'sleep 1000'],
            workingDir: '/',
            environment: {},
            mounts: [],
            logPath: join(node.dir, 'killed.log'),
          },
          never,
        );
        assert.deepEqual([isHeld, sandboxes()], [true, ['killed']]);
      },
    });
    await until(() => sandboxes().length === 0, 'what was left is gone');
  });
});

/** As admission gives each pod one, by its UID; here with no token in it. */
function withTokenVolume({ metadata, spec }: Pod): PodSpec {
  const name = tokenVolumeName(metadata.uid ?? metadata.ownerReferences?.[0]?.uid ?? '');
  const [container, ...others] = spec.containers;
  if (!container) return spec;
  const mounts = [...(container.volumeMounts ?? []), { name, mountPath: serviceAccountPath, readOnly: true }];
  const items = [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }];
  return {
    ...spec,
    containers: [{ ...container, volumeMounts: mounts }, ...others],
    volumes: [...(spec.volumes ?? []), { name, projected: { sources: [{ downwardAPI: { items } }] } }],
  };
}

/** This machine's shell, and what it stands on. */
function shellLayer(): TestLayer {
  const programs = ['sh', 'sleep'].map((name) => findProgram(name) ?? '');
  const libraries = [...execFileSync('ldd', programs, { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)];
  const paths = libraries.map(([, path = '']) => path);
  const file = (from: string, to: string) => [to.replace(/^\//, ''), readFileSync(realpathSync(from))] as const;
  return Object.fromEntries([
    ...programs.map((path) => file(path, `/bin/${path.split('/').at(-1)}`)),
    ...paths.map((path) => file(path, path)),
  ]);
}
