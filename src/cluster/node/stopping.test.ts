import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { isPodReady, type Pod, PodKind } from '../../api/core/pod.ts';
import type { Container } from '../../api/core/pod-spec.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { hostPortOf, openTestNode, program, type TestNode } from './testing/test-node.ts';

/** Tells the test, in order, what happens to it; ends with SIGTERM unless it is told to ignore that. */
const teller = `
import { request, createServer } from 'node:http';
const { REPORT, NAME, PORT, ENDS, MUTE } = process.env;
const say = (what) => new Promise((resolve) => {
  request({ port: REPORT, path: '/' + NAME + '-' + what, agent: false }, (r) => r.resume().on('end', resolve)).end();
});
process.on('SIGTERM', async () => { await say('term'); process.exit(0); });
await say('start');
if (ENDS) process.exit(0);
if (MUTE) setInterval(() => {}, 1000);
else createServer(async (request, response) => {
  await say(request.url.slice(1));
  response.writeHead(500).end();
}).listen(PORT);
`;

describe('how containers of a pod start and stop', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let tells: string;
  let reports: Server;
  let said: string[];

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client);
    tells = await registry.push([program(teller)]);
    reports = createServer((request, response) => {
      said.push(request.url?.slice(1) ?? '');
      response.end();
    });
    await once(reports.listen(0, '127.0.0.1'), 'listening');
  });
  after(async () => {
    await node.stop();
    await registry.stop();
    reports.close();
  });
  beforeEach(() => {
    said = [];
  });
  afterEach(async () => {
    for (const { metadata } of (await node.client.list(PodKind, {})).items) await node.remove(metadata.name);
  });

  const telling = (name: string, more: Partial<Container> = {}, env: Record<string, string> = {}): Container => ({
    name,
    image: tells,
    env: Object.entries({ NAME: name, REPORT: String((reports.address() as AddressInfo).port), ...env }).map(
      ([key, value]) => ({ name: key, value }),
    ),
    ...more,
  });
  const untilSaid = async (what: string) => {
    for (let waitedMs = 0; !said.includes(what); waitedMs += 5) {
      assert.ok(waitedMs < 15_000, `${what} was not said: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const untilLogged = async (pod: Pod, text: string) => {
    for (let waitedMs = 0; !(await node.logs(pod).catch(() => '')).includes(text); waitedMs += 10) {
      assert.ok(waitedMs < 15_000, `${text} was not logged`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };

  const linux = { skip: process.platform !== 'linux' && 'there are no real-time signals' };
  const trapping = (signal: number) =>
    `trap 'echo got ${signal}; exit 0' ${signal}; echo up; while :; do sleep 0.02; done`;
  const anyReadiness = { readinessProbe: { exec: { command: ['true'] } } };

  for (const [whose, signal, number] of [
    ['pod', 'SIGRTMIN+3', 37],
    ['pod', 'USR1', 10],
    ['image', 'SIGRTMIN', 34],
    ['image', '3', 3],
  ] as const) {
    test(`a container is told to stop with the signal ${signal} that its ${whose} asks for`, linux, async () => {
      const command = ['/bin/sh', '-c', trapping(number)];
      const image =
        whose === 'image' ? await registry.push([{ a: '' }], { StopSignal: signal, WorkingDir: '/' }) : tells;
      const lifecycle = whose === 'pod' ? { lifecycle: { stopSignal: signal } } : {};
      const pod = await node.run('signal', image, { command, ...anyReadiness, ...lifecycle });
      await untilLogged(pod, 'up');
      await node.remove('signal');
      assert.match(await node.logs(pod), new RegExp(`got ${number}\n`));
    });
  }

  for (const [whose, signal] of [
    ['pod', 'SIGNONSENSE'],
    ['image', '99'],
  ] as const) {
    test(`a stop signal of the ${whose} that there is none of gives way to SIGTERM, and an event says so`, async () => {
      const name = `unknown-${whose}`;
      const image = whose === 'image' ? await registry.push([program(teller)], { StopSignal: signal }) : tells;
      const lifecycle = whose === 'pod' ? { lifecycle: { stopSignal: signal } } : {};
      await node.run(name, image, telling('c', { image, ...anyReadiness, ...lifecycle }));
      await untilSaid('c-start');
      await node.remove(name);
      assert.deepEqual(said, ['c-start', 'c-term']);
      const events = await node.events(name, 'UnknownStopSignal');
      assert.ok(
        events.some((event) => event.includes(`the ${whose}'s stopSignal "${signal}" is no signal`)),
        String(events),
      );
    });
  }

  test('a pod with a connection that stays open is told to stop well before its grace is over', async () => {
    const readinessProbe = { tcpSocket: { port: 8080 } };
    await node.run(
      'busy',
      tells,
      telling('c', { ports: [{ containerPort: 8080 }], readinessProbe }, { PORT: '8080' }),
      {
        terminationGracePeriodSeconds: 2,
      },
    );
    const socket = connect(hostPortOf(await node.ready('busy')), '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    await node.remove('busy');
    assert.deepEqual(said, ['c-start', 'c-term']);
    socket.destroy();
  });

  test('a container that is spinning is ended when its startup probe fails, and when its pod is deleted', async () => {
    const spinning = await registry.push([program(`process.on('SIGTERM', () => {}); console.log('spins'); for (;;);`)]);
    const startupProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 1 };
    const pod = await node.run('spin', spinning, { startupProbe }, { terminationGracePeriodSeconds: 1 });
    const { status } = await node.until('spin', 'restarted', (p) => {
      const found = p?.status?.containerStatuses?.[0];
      return found?.restartCount === 1 && found.state?.running !== undefined;
    });
    assert.equal(status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
    await untilLogged(pod, 'spins');
    await node.remove('spin');
  });

  for (const [what, preStop, expected] of [
    ['an HTTP request', { httpGet: { path: '/asked', port: 8080 } }, ['c-start', 'c-asked', 'c-term']],
    [
      'a command',
      {
        exec: {
          command: [
            'node',
            '--input-type=module',
            '-e',
            teller.replaceAll('process.env', '{ ...process.env, NAME: "hook", ENDS: 1 }'),
          ],
        },
      },
      ['c-start', 'hook-start', 'c-term'],
    ],
  ] as const) {
    test(`a preStop hook that is ${what} runs before the container is told to stop`, async () => {
      const container = { ports: [{ containerPort: 8080 }], lifecycle: { preStop: preStop as object } };
      const readinessProbe = { tcpSocket: { port: 8080 } };
      await node.run('hooked', tells, telling('c', { ...container, readinessProbe }, { PORT: '8080' }));
      await node.ready('hooked');
      await node.remove('hooked');
      assert.deepEqual(said, expected);
    });
  }

  test('a preStop hook that sleeps delays the stop signal', async () => {
    const lifecycle = { preStop: { sleep: { seconds: 1 } } };
    await node.run('sleepy', tells, telling('c', { ...anyReadiness, lifecycle }, { MUTE: '1' }));
    await untilSaid('c-start');
    const deletedMs = performance.now();
    const removed = node.remove('sleepy');
    await untilSaid('c-term');
    assert.ok(performance.now() - deletedMs >= 990);
    await removed;
  });

  test('a preStop hook without an end leaves the program time to stop, and an event tells of it', async () => {
    const lifecycle = { preStop: { exec: { command: ['sleep', '60'] } } };
    await node.run('endless', tells, telling('c', { ...anyReadiness, lifecycle }, { MUTE: '1' }), {
      terminationGracePeriodSeconds: 1,
    });
    await untilSaid('c-start');
    await node.remove('endless');
    assert.deepEqual(said, ['c-start', 'c-term']);
    await node.events('endless', 'FailedPreStopHook');
  });

  test('a postStart hook runs before the container counts as running; one that fails restarts it', async () => {
    const hook = (name: string, code: number) => ({
      postStart: {
        exec: {
          command: [
            'node',
            '-e',
            `fetch('http://localhost:' + process.env.REPORT + '/${name}').finally(() => process.exit(${code}))`,
          ],
        },
      },
    });
    await node.run('post', tells, telling('c', { ...anyReadiness, lifecycle: hook('hook', 0) }, { MUTE: '1' }));
    await node.ready('post');
    assert.ok(said.includes('hook'));
    await node.run('bad', tells, telling('d', { ...anyReadiness, lifecycle: hook('bad', 3) }, { MUTE: '1' }));
    await node.events('bad', 'FailedPostStartHook');
    const bad = await node.until('bad', 'restarted', (p) => (p?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
    assert.equal(isPodReady(bad), false);
  });

  test('a pod that is deleted shows how it ended, to whoever keeps it', async () => {
    const pod = await node.run('kept', tells, telling('c', anyReadiness, { MUTE: '1' }));
    await untilSaid('c-start');
    const { metadata } = await node.ready('kept');
    const finalizers = ['example.com/keep'];
    await node.client.update(PodKind, { ...(await node.ready('kept')), metadata: { ...metadata, finalizers } });
    await node.client.delete(PodKind, { namespace: 'default', name: 'kept' });
    const ended = await node.until('kept', 'over', (p) => p?.status?.phase === 'Succeeded');
    assert.equal(ended.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 0);
    assert.equal(isPodReady(ended), false);
    assert.equal(ended.metadata.uid, pod.metadata.uid);
    await node.client.update(PodKind, { ...ended, metadata: { ...ended.metadata, finalizers: [] } });
    await node.until('kept', 'gone', (p) => p === undefined);
  });

  test('a hook of a kind that nobody runs fails, and its container with it', async () => {
    const lifecycle = { postStart: { tcpSocket: { port: 8080 } } };
    await node.run('tcp', tells, telling('c', { ...anyReadiness, lifecycle }, { MUTE: '1' }));
    const events = await node.events('tcp', 'FailedPostStartHook');
    assert.ok(events.includes('FailedPostStartHook: PostStartHook failed'));
    assert.ok((await node.events('tcp', 'Killing')).includes('Killing: FailedPostStartHook'));
  });

  test('sidecars start in their turn, are waited for, and end last in reverse order', async () => {
    const sidecar = (name: string): Container =>
      telling(
        name,
        { restartPolicy: 'Always', startupProbe: { exec: { command: ['test', '-e', '/proc/self'] } } },
        { MUTE: '1' },
      );
    const init = telling('init', {}, { ENDS: '1' });
    await node.run('side', tells, telling('main', anyReadiness, { MUTE: '1' }), {
      initContainers: [sidecar('one'), init, sidecar('two')],
    });
    const pod = await node.ready('side');
    assert.equal(pod.status?.phase, 'Running');
    assert.deepEqual(
      pod.status?.initContainerStatuses?.map((s) => [s.name, s.started, s.ready]),
      [
        ['one', true, true],
        ['init', false, true],
        ['two', true, true],
      ],
    );
    for (const name of ['one', 'two', 'main']) await untilSaid(`${name}-start`);
    await node.remove('side');
    assert.ok(said.indexOf('init-start') < said.indexOf('main-start'), String(said));
    assert.deepEqual(said.slice(-3), ['main-term', 'two-term', 'one-term']);
  });

  test('nothing starts before a sidecar has passed its startup probe', async () => {
    const startupProbe = { exec: { command: ['test', '-e', 'go'] }, periodSeconds: 1, failureThreshold: 100 };
    const sidecar = telling('side', { restartPolicy: 'Always', startupProbe }, { MUTE: '1' });
    await node.run('wait', tells, telling('main', anyReadiness, { MUTE: '1' }), { initContainers: [sidecar] });
    await untilSaid('side-start');
    const pod = await node.until('wait', 'running its sidecar', (p) =>
      Boolean(p?.status?.initContainerStatuses?.[0]?.state?.running),
    );
    assert.equal(pod.status?.phase, 'Pending');
    assert.equal(pod.status?.conditions?.find((c) => c.type === 'Initialized')?.status, 'False');
    assert.deepEqual(said, ['side-start']);
    writeFileSync(`${node.dir}/node/pods/${pod.metadata.uid}/side/root/app/go`, '');
    await node.ready('wait');
    await untilSaid('main-start');
  });

  test('a pod is as ready as its sidecars, which are restarted whatever its policy', async () => {
    const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1, failureThreshold: 1 };
    const sidecar = telling('side', { restartPolicy: 'Always', readinessProbe }, { MUTE: '1' });
    await node.run('unready', tells, telling('main', anyReadiness, { MUTE: '1' }), {
      initContainers: [sidecar],
      restartPolicy: 'Never',
    });
    const pod = await node.until('unready', 'ready but for its sidecar', (p) =>
      Boolean(p?.status?.containerStatuses?.[0]?.ready && p.status.initContainerStatuses?.[0]?.started),
    );
    const condition = pod.status?.conditions?.find((c) => c.type === 'ContainersReady');
    assert.deepEqual([condition?.status, condition?.message], ['False', 'containers with unready status: [side]']);
    const crashing = { ...telling('side', { restartPolicy: 'Always' }, { ENDS: '1' }) };
    await node.run('crashing', tells, telling('main', anyReadiness, { MUTE: '1' }), {
      initContainers: [crashing],
      restartPolicy: 'Never',
    });
    await node.until('crashing', 'restarted', (p) => (p?.status?.initContainerStatuses?.[0]?.restartCount ?? 0) > 0);
  });

  test('sidecars end when the main containers have, and the pod with them', async () => {
    const sidecar = telling('side', { restartPolicy: 'Always' }, { MUTE: '1' });
    await node.run('job', tells, telling('main', {}, { ENDS: '1' }), {
      initContainers: [sidecar],
      restartPolicy: 'Never',
    });
    const pod = await node.until('job', 'over', (p) => p?.status?.phase === 'Succeeded');
    assert.ok(pod.status?.initContainerStatuses?.[0]?.state?.terminated);
    assert.ok(said.includes('main-start'));
  });

  test('an agent that comes back goes on with a pod and its sidecar', async () => {
    const sidecar = telling('side', { restartPolicy: 'Always' }, { MUTE: '1' });
    await node.run('kept', tells, telling('main', anyReadiness, { MUTE: '1' }), { initContainers: [sidecar] });
    const before = await node.ready('kept');
    await untilSaid('main-start');
    await untilSaid('side-start');
    await node.restartAgent({ stopPods: false });
    const now = await node.client.get(PodKind, { namespace: 'default', name: 'kept' });
    assert.deepEqual(now?.status, before.status);
    await node.remove('kept');
    assert.deepEqual(said.slice(-2), ['main-term', 'side-term']);
    assert.equal(said.length, 4);
  });
});
