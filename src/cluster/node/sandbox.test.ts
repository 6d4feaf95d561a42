import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { type Pod, PodKind, portsAnnotation } from '../../api/core/pod.ts';
import type { Container } from '../../api/core/pod-spec.ts';
import { type CoreService, CoreServiceKind } from '../../api/core/service.ts';
import { until } from '../../lib/testing/until.ts';
import { groupsOf } from '../workloads/endpoint-slice/slices.ts';
import { type Driver, StartError } from './driver.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { openTestNode, type TestNode } from './testing/test-node.ts';
import { ToyMachine } from './testing/toy-driver.ts';
import { toyPrograms } from './testing/toy-programs.ts';

const linux = { skip: process.platform !== 'linux' && 'each toy sandbox has an address of its own in 127.0.0.0/8' };

describe('pods over a driver that knows no processes', linux, () => {
  let registry: TestRegistry;
  let node: TestNode;
  let web: string;
  let refusals = 0;
  /** Programs that the driver finds too late that it cannot run. */
  const notRun = new Set<string>();
  const machine = new ToyMachine(toyPrograms);
  const openDriver = (): Driver => {
    const driver = machine.open();
    return {
      ...driver,
      async sandbox(pod, signal) {
        if (refusals-- > 0) throw new Error('no addresses are left');
        const sandbox = await driver.sandbox(pod, signal);
        const start = Object.getPrototypeOf(sandbox).start as typeof sandbox.start;
        sandbox.start = (container, abort) => {
          const [name = ''] = container.argv;
          if (!notRun.has(name)) return start.call(sandbox, container, abort);
          throw new StartError('RunContainerError', `exec: "${name}": executable file not found`);
        };
        return sandbox;
      },
    };
  };

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { openDriver });
    web = await registry.push([{ file: '' }], { Entrypoint: ['web', '8080'], WorkingDir: '/' });
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });
  afterEach(async () => {
    for (const { metadata } of (await node.client.list(PodKind, {})).items) await node.remove(metadata.name);
    assert.deepEqual([...machine.sandboxes.keys()], []);
  });

  const ipOf = (pod: Pod) => pod.status?.podIP ?? '';
  const sandboxOf = ({ metadata: { uid = '' } }: Pod) => machine.sandboxes.get(uid);
  const environmentOf = async (pod: Pod) =>
    (await fetch(`http://${ipOf(pod)}:8080/`)).json() as Promise<Record<string, string>>;

  test("a pod's address is its sandbox's, for its status, its variables, its probes and its hooks", async () => {
    const env = ['status.podIP', 'status.podIPs', 'status.hostIP'].map((fieldPath) => ({
      name: fieldPath.replace('status.', ''),
      valueFrom: { fieldRef: { fieldPath } },
    }));
    const container = {
      env: [...env, { name: 'PORT', value: '8080' }],
      readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
      lifecycle: { postStart: { httpGet: { path: '/hook', port: 8080 } } },
    };
    const pods = ['a', 'b'].map((name) => node.run(name, web, container));
    const [a, b] = await Promise.all(pods.map(async (pod) => node.ready((await pod).metadata.name)));
    assert.ok(a && b);
    for (const pod of [a, b]) {
      const ip = sandboxOf(pod)?.addresses.ips[0];
      assert.ok(ip?.startsWith('127.77.'));
      const { podIP, podIPs, hostIP } = pod.status ?? {};
      assert.equal(pod.metadata.generation, 1, 'that a node has it is no new wish');
      assert.deepEqual({ podIP, podIPs, hostIP }, { podIP: ip, podIPs: [{ ip }], hostIP: '127.0.0.1' });
      assert.equal(pod.metadata.annotations?.[portsAnnotation], undefined);
      assert.deepEqual(await environmentOf(pod), { podIP: ip, podIPs: ip, hostIP: '127.0.0.1', PORT: '8080' });
      assert.match(await node.logs(pod), /GET \/hook[\s\S]*GET \/ready/);
    }
    assert.notEqual(ipOf(a), ipOf(b));
  });

  test('the endpoints of a Service are the sandboxes of its pods, at their own ports', async () => {
    await node.run('backend', web);
    const pod = await node.ready('backend');
    const service = {
      metadata: { name: 's', namespace: 'default' },
      spec: { ports: [{ port: 80, targetPort: 8080 }] },
    } as unknown as CoreService;
    const [group] = groupsOf(service, [pod]);
    assert.deepEqual(group?.endpoints[0]?.addresses, [ipOf(pod)]);
    assert.equal(group?.ports[0]?.port, 8080);
  });

  test('variables are of the image, of Services and of the pod, and refer to each other', async () => {
    const ports = [{ port: 6379 }];
    const meta = { name: 'redis', namespace: 'default' };
    await node.client.create(CoreServiceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: meta,
      spec: { ports, selector: { a: 'b' }, clusterIP: '10.96.7.7' },
    });
    const data = { HOST: 'of-the-map', OTHER: '1' };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'vars', namespace: 'default' }, data };
    await node.client.create(ConfigMapKind, map);
    const image = await registry.push([{ other: '' }], {
      Entrypoint: ['web', '8080'],
      WorkingDir: '/',
      Env: ['OF_IMAGE=1', 'REDIS_SERVICE_PORT=image'],
    });
    const container: Partial<Container> = {
      envFrom: [{ prefix: 'MAP_', configMapRef: { name: 'vars' } }],
      env: [
        { name: 'URL', value: 'redis://$(REDIS_SERVICE_HOST):$(REDIS_SERVICE_PORT)/$(MAP_HOST)' },
        { name: 'LATER', value: '$(URL) $(NOT_YET) $(OF_IMAGE)' },
        { name: 'NOT_YET', value: '1' },
        { name: 'MAP_OTHER', value: '$(MAP_OTHER)2' },
      ],
    };
    await node.run('linked', image, container);
    const { URL, LATER, OF_IMAGE, MAP_OTHER, REDIS_PORT } = await environmentOf(await node.ready('linked'));
    assert.deepEqual(
      { URL, LATER, OF_IMAGE, MAP_OTHER, REDIS_PORT },
      {
        URL: 'redis://10.96.7.7:6379/of-the-map',
        LATER: 'redis://10.96.7.7:6379/of-the-map $(NOT_YET) $(OF_IMAGE)',
        OF_IMAGE: '1',
        MAP_OTHER: '12',
        REDIS_PORT: 'tcp://10.96.7.7:6379',
      },
    );
    await node.run('unlinked', image, {}, { enableServiceLinks: false });
    assert.equal((await environmentOf(await node.ready('unlinked'))).REDIS_PORT, undefined);
    await node.client.delete(CoreServiceKind, meta);
  });

  test('ports of a driver that the machine had before are forgotten', async () => {
    const annotations = { [portsAnnotation]: '{"8080":41235}', kept: 'yes' };
    await node.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'moved', namespace: 'default', annotations },
      spec: { nodeName: 'local', containers: [{ name: 'c', image: web }] },
    });
    assert.deepEqual((await node.ready('moved')).metadata.annotations, { kept: 'yes' });
  });

  test('commands of probes and hooks run in the sandbox, and their failures are told', async () => {
    const lifecycle = { preStop: { exec: { command: ['complain', 'not yet'] } } };
    await node.run('commands', web, { readinessProbe: { exec: { command: ['env', 'PATH'] } }, lifecycle });
    await node.ready('commands');
    await node.remove('commands');
    const probe = { exec: { command: ['exit', '7'] }, periodSeconds: 1, failureThreshold: 1 };
    await node.run('failing', web, { readinessProbe: probe });
    assert.match((await node.events('failing', 'Unhealthy')).join('\n'), /Readiness probe failed: exit code 7/);
  });

  test('a program that ends is run again, or its pod is over', async () => {
    await node.run('again', web, { command: ['exit', '3'] }, { restartPolicy: 'OnFailure' });
    const again = await node.until('again', 'restarted', (pod) =>
      Boolean(pod?.status?.containerStatuses?.[0]?.restartCount),
    );
    assert.equal(again.status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 3);
    await node.run('over', web, { command: ['print'], args: ['last words'] }, { restartPolicy: 'Never' });
    const over = await node.until('over', 'over', (pod) => pod?.status?.phase === 'Succeeded');
    assert.equal(await node.logs(over), 'last words');
  });

  test('a pod whose volume is missing waits for it, and an event says so', async () => {
    const volumes = [{ name: 'v', configMap: { name: 'late' } }];
    await node.run('mounts', web, { volumeMounts: [{ name: 'v', mountPath: '/v' }] }, { volumes });
    const events = await node.events('mounts', 'FailedMount');
    const why = 'MountVolume.SetUp failed for volume "v" : configmap "late" not found';
    assert.ok(events.includes(`FailedMount: ${why}`), String(events));
    const pod = await node.until('mounts', 'told', (p) => p?.status?.containerStatuses !== undefined);
    assert.deepEqual(pod.status?.containerStatuses?.[0]?.state, { waiting: { reason: 'ContainerCreating' } });
    const meta = { name: 'late', namespace: 'default' };
    await node.client.create(ConfigMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta, data: {} });
    await node.ready('mounts');
  });

  test('a deadline may be set while the pod runs, and is told in the words of kubelet', async () => {
    await node.run('limited', web);
    const pod = await node.ready('limited');
    await node.client.update(PodKind, { ...pod, spec: { ...pod.spec, activeDeadlineSeconds: 1 } });
    const over = await node.until('limited', 'over', (p) => p?.status?.phase === 'Failed');
    const message = 'Pod was active on the node longer than the specified deadline';
    assert.deepEqual([over.status?.reason, over.status?.message], ['DeadlineExceeded', message]);
    const ended = await node.until('limited', 'ended', (p) =>
      Boolean(p?.status?.containerStatuses?.[0]?.state?.terminated),
    );
    assert.equal(ended.status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'PodFailed');
  });

  test('a program that cannot be run counts as a run that has failed', async () => {
    notRun.add('nothing');
    const command = ['nothing'];
    await node.run('never', web, { command }, { restartPolicy: 'Never' });
    const never = await node.until('never', 'over', (pod) => pod?.status?.phase === 'Failed');
    const { startedAt, exitCode, reason, message } = never.status?.containerStatuses?.[0]?.state?.terminated ?? {};
    assert.deepEqual([exitCode, reason, message], [128, 'StartError', 'exec: "nothing": executable file not found']);
    assert.equal(startedAt, '1970-01-01T00:00:00Z');
    await node.run('unable', web, { command });
    const unable = await node.until('unable', 'held back', (pod) =>
      Boolean(pod?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff'),
    );
    const [status] = unable.status?.containerStatuses ?? [];
    assert.deepEqual([status?.restartCount, status?.lastState?.terminated?.reason], [1, 'StartError']);
    const who = `c in pod unable_default(${unable.metadata.uid})`;
    const expected = {
      BackOff: `BackOff: Back-off restarting failed container ${who}`,
      Failed: 'Failed: Error: exec: "nothing": executable file not found',
    };
    for (const [reason, event] of Object.entries(expected)) {
      await until(async () => (await node.events('unable', reason)).includes(event), event);
    }
  });

  test('a pod is told to stop when its last connection is closed', async () => {
    await node.run('busy', web, { command: ['echo', '8080'] }, { terminationGracePeriodSeconds: 60 });
    const pod = await node.ready('busy');
    const socket = connect({ host: ipOf(pod), port: 8080 });
    await once(socket, 'connect');
    await node.client.delete(PodKind, { namespace: 'default', name: 'busy' });
    await node.until('busy', 'being deleted', (p) => p?.metadata.deletionTimestamp !== undefined);
    socket.write('still served');
    assert.equal(String((await once(socket, 'data'))[0]), 'still served');
    socket.destroy();
    await node.until('busy', 'gone', (p) => p === undefined);
  });

  test('the next agent finds the sandboxes, and those of pods that are gone end', async () => {
    await node.run('stays', web);
    await node.run('goes', web);
    const [stays, goes] = [await node.ready('stays'), await node.ready('goes')];
    const [container] = sandboxOf(stays)?.containers ?? [];
    const orphan = sandboxOf(goes)?.containers[0];
    assert.ok(container && orphan);
    await node.restartAgent({
      stopPods: false,
      meanwhile: () =>
        node.client.delete(PodKind, { namespace: 'default', name: 'goes' }, { gracePeriodSeconds: 0 }).then(() => {}),
    });
    assert.equal((await orphan.exited).signal, 9);
    await node.until('goes', 'gone', (pod) => pod === undefined);
    assert.equal(sandboxOf(goes), undefined);
    const now = await node.client.get(PodKind, { namespace: 'default', name: 'stays' });
    assert.deepEqual(now?.status, stays.status);
    assert.deepEqual(sandboxOf(stays)?.containers, [container]);
    container.signal('SIGKILL');
    const after = await node.until('stays', 'restarted', (p) => p?.status?.containerStatuses?.[0]?.restartCount === 1);
    // It was followed: an end that nobody saw would be another.
    assert.equal(after.status?.containerStatuses?.[0]?.lastState?.terminated?.signal, 9);
  });

  test('an agent that stops with its pods ends them, and the next one runs them again, where they were', async () => {
    await node.run('again', web);
    const before = await node.ready('again');
    await node.restartAgent({ stopPods: true });
    const pod = await node.until('again', 'ready again', (p) => {
      const status = p?.status?.containerStatuses?.[0];
      return status?.ready === true && status.restartCount === 1;
    });
    assert.equal(ipOf(pod), ipOf(before));
    assert.equal((await fetch(`http://${ipOf(pod)}:8080/`)).status, 200);
  });

  test('what is left of a pod that is over goes when the next agent starts', async () => {
    await node.run('over', web, { command: ['exit', '0'] }, { restartPolicy: 'Never' });
    const pod = await node.until('over', 'over', (p) => p?.status?.phase === 'Succeeded');
    await node.restartAgent({
      stopPods: false,
      async meanwhile() {
        await machine.open().sandbox(pod, new AbortController().signal);
      },
    });
    assert.deepEqual([...machine.sandboxes.keys()], []);
  });

  test('a sandbox that cannot be made is tried again, and an event says why', async () => {
    refusals = 1;
    await node.run('late', web);
    assert.match((await node.events('late', 'FailedCreatePodSandBox')).join('\n'), /sandbox: no addresses are left/);
    await node.ready('late');
    refusals = Number.POSITIVE_INFINITY;
    await node.run('never', web);
    await node.events('never', 'FailedCreatePodSandBox');
    await node.remove('never');
    refusals = 0;
  });
});
