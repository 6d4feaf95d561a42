import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { NodeKind } from '../../api/core/node.ts';
import { PodKind } from '../../api/core/pod.ts';
import { SecretKind } from '../../api/core/secret.ts';
import { processOf } from '../../lib/processes.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { ask, hostPortOf, openTestNode, program, server, type TestNode } from './testing/test-node.ts';

describe('the node agent', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let web: string;

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client);
    web = await registry.push([program(server)]);
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  const imageOf = (text: string) => registry.push([program(text)]);
  const isAlive = (pid: number) => processOf(pid) !== undefined;

  test('a pod is claimed, runs, answers at its mapped port, and leaves nothing behind when it is deleted', async () => {
    await node.run('web', web);
    const pod = await node.ready('web');
    assert.equal(pod.spec.nodeName, 'local');
    assert.equal(pod.status?.phase, 'Running');
    assert.equal(pod.status?.podIP, '127.0.0.1');
    const [status] = pod.status?.containerStatuses ?? [];
    assert.deepEqual([status?.ready, status?.started, status?.restartCount, status?.imageID], [true, true, 0, web]);
    const pid = Number(await ask(pod));
    assert.match(await node.logs(pod), new RegExp(`^listening on ${hostPortOf(pod)}\n$`));
    await node.remove('web');
    assert.equal(isAlive(pid), false);
    assert.equal(existsSync(join(node.dir, 'node/pods', pod.metadata.uid ?? '')), false);
  });

  test('two pods with the same containerPort run beside each other', async () => {
    await Promise.all([node.run('one', web), node.run('two', web)]);
    const [one, two] = await Promise.all([node.ready('one'), node.ready('two')]);
    assert.notEqual(hostPortOf(one), hostPortOf(two));
    assert.notEqual(await ask(one), await ask(two));
    await Promise.all([node.remove('one'), node.remove('two')]);
  });

  test('the node is registered and ready', async () => {
    const found = await node.client.get(NodeKind, { name: 'local' });
    assert.equal(found?.status?.conditions?.find((c) => c.type === 'Ready')?.status, 'True');
  });

  test('a program that exits at once is restarted, then held back as CrashLoopBackOff with its exit code', async () => {
    const image = await imageOf(`console.error('no database'); process.exit(3)`);
    await node.run('crash', image, { terminationMessagePolicy: 'FallbackToLogsOnError' });
    const pod = await node.until('crash', 'in CrashLoopBackOff', (p) =>
      Boolean(p?.status?.containerStatuses?.some((c) => c.state?.waiting?.reason === 'CrashLoopBackOff')),
    );
    const [status] = pod.status?.containerStatuses ?? [];
    assert.equal(status?.restartCount, 1);
    assert.equal(status?.lastState?.terminated?.exitCode, 3);
    assert.match(status?.lastState?.terminated?.message ?? '', /no database/);
    assert.match(
      status?.state?.waiting?.message ?? '',
      /^back-off 10s restarting failed container=c pod=crash_default\(/,
    );
    assert.equal(await node.logs(pod, { previous: true }), 'no database\n');
    await node.remove('crash');
  });

  test('a pod that may not restart ends as Succeeded or Failed', async () => {
    await node.run('good', await imageOf('process.exit(0)'), {}, { restartPolicy: 'Never' });
    await node.run('bad', await imageOf('process.exit(7)'), {}, { restartPolicy: 'Never' });
    await node.until('good', 'Succeeded', (p) => p?.status?.phase === 'Succeeded');
    const bad = await node.until('bad', 'Failed', (p) => p?.status?.phase === 'Failed');
    assert.equal(bad.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 7);
    await Promise.all([node.remove('good'), node.remove('bad')]);
  });

  test('a program that never listens is never ready, and an event says what it should do', async () => {
    const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 };
    await node.run('mute', await imageOf('setInterval(() => {}, 1000)'), { readinessProbe });
    const events = await node.events('mute', 'Unhealthy');
    assert.ok(events.some((e) => /connection refused: the program must listen on the port that PORT says/.test(e)));
    const pod = await node.until('mute', 'running', (p) => p?.status?.phase === 'Running');
    assert.equal(pod.status?.containerStatuses?.[0]?.ready, false);
    await node.remove('mute');
  });

  test('a failing liveness probe restarts the container', async () => {
    const livenessProbe = {
      exec: { command: ['node', '-e', 'process.exit(1)'] },
      periodSeconds: 1,
      failureThreshold: 1,
    };
    await node.run('sick', web, { livenessProbe }, { terminationGracePeriodSeconds: 1 });
    await node.until('sick', 'restarted', (p) => (p?.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
    await node.remove('sick');
  });

  test('a program that ignores SIGTERM is killed after its grace period, with its grandchildren', async () => {
    const stubborn = await imageOf(`
    import { spawn } from 'node:child_process';
    process.on('SIGTERM', () => {});
    const child = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)";
    const pids = [false, true].map((detached) => spawn(process.execPath, ['-e', child], { detached }).pid);
    console.log(JSON.stringify(pids));
    ${server}`);
    await node.run('stubborn', stubborn, {}, { terminationGracePeriodSeconds: 1 });
    const pod = await node.ready('stubborn');
    const pids: number[] = [...JSON.parse((await node.logs(pod)).split('\n')[0] ?? ''), Number(await ask(pod))];
    assert.deepEqual(pids.map(isAlive), [true, true, true]);
    await node.remove('stubborn');
    assert.deepEqual(pids.map(isAlive), [false, false, false]);
  });

  test('a pod that is deleted answers what is under way before it is told to stop', async () => {
    const slow = await imageOf(`
    import { createServer } from 'node:http';
    createServer((request, response) => {
      response.write('a');
      process.stdin; // keeps the connection busy until the client has seen the first byte and asks for the rest
      request.on('data', () => response.end('b'));
    }).listen(process.env.PORT);`);
    await node.run('slow', slow);
    const pod = await node.ready('slow');
    const socket = connect(hostPortOf(pod), '127.0.0.1');
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    const receives = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => received.includes(text) && resolve();
        socket.on('data', look);
        socket.once('close', () => reject(new Error(`the connection ended after ${JSON.stringify(received)}`)));
        look();
      });
    socket.on('error', () => {}); // Its close follows, and says so.
    socket.write('POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n');
    await receives('\r\na');
    await node.client.delete(PodKind, { namespace: 'default', name: 'slow' });
    await node.until('slow', 'being deleted', (p) => p?.metadata.deletionTimestamp !== undefined);
    socket.write('1\r\nx\r\n0\r\n\r\n');
    await receives('\r\nb');
    await node.until('slow', 'gone', (p) => p === undefined);
  });

  test('an image that does not exist is ErrImagePull with the words of the registry', async () => {
    await node.run('missing', `registry.localhost/test/none@sha256:${'0'.repeat(64)}`);
    const pod = await node.until('missing', 'failing to pull', (p) =>
      Boolean(p?.status?.containerStatuses?.[0]?.state?.waiting?.reason?.includes('ImagePull')),
    );
    const { waiting } = pod.status?.containerStatuses?.[0]?.state ?? {};
    assert.match(waiting?.message ?? '', /failed to pull and unpack image .*test\/none.* 404/);
    await node.until('missing', 'backing off', (p) =>
      Boolean(p?.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'ImagePullBackOff'),
    );
    await node.remove('missing');
  });

  for (const [what, container, expected] of [
    ['a command that is not there', { command: ['frobnicate'] }, /exec: "frobnicate": executable file not found/],
    ['a program that is not there', { command: ['/opt/none'] }, /exec: "\/opt\/none": no such file or directory/],
    ['a ConfigMap that is not there', { envFrom: [{ configMapRef: { name: 'none' } }] }, /configmap "none" not found/],
  ] as const) {
    test(`${what} is named in the container's status`, async () => {
      await node.run('broken', web, container as object);
      const pod = await node.until('broken', 'not to be made', (p) =>
        Boolean(p?.status?.containerStatuses?.[0]?.state?.waiting?.reason?.startsWith('CreateContainer')),
      );
      assert.match(pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? '', expected);
      await node.remove('broken');
    });
  }

  test('the environment is what the pod says: values, references, expansion, the mapped PORT', async () => {
    const metadata = (name: string) => ({ name, namespace: 'default' });
    const base = { apiVersion: 'v1' };
    const data = { level: 'high' };
    await node.client.create(ConfigMapKind, { ...base, kind: 'ConfigMap', metadata: metadata('settings'), data });
    const stringData = { token: 's3cret' };
    await node.client.create(SecretKind, { ...base, kind: 'Secret', metadata: metadata('keys'), stringData });
    const image = await imageOf(
      `console.log(JSON.stringify({ env: process.env, argv: process.argv.slice(2) })); ${server}`,
    );
    await node.run('env', image, {
      args: ['main.mjs', '$(GREETING)', '$$(GREETING)'],
      env: [
        { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'GREETING', value: 'hello $(NAME)' },
        { name: 'PORT', value: '8080' },
        { name: 'URL', value: 'http://localhost:$(PORT)' },
        { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
        { name: 'NONE', valueFrom: { secretKeyRef: { name: 'keys', key: 'none', optional: true } } },
        { name: 'odd.name', value: 'kept' },
      ],
      envFrom: [{ prefix: 'CFG_', configMapRef: { name: 'settings' } }],
      command: ['node'],
    });
    const pod = await node.ready('env');
    const { env, argv } = JSON.parse((await node.logs(pod)).split('\n')[0] ?? '');
    const { PATH, HOME, TMPDIR, KITTIWAKE_ROOT, KITTIWAKE_CONTAINER, NODE_COMPILE_CACHE, ...more } = env;
    const { PWD: _, NODE_COMPILE_CACHE_PORTABLE: __, ...own } = more;
    const port = String(hostPortOf(pod));
    assert.deepEqual(own, {
      NAME: 'env',
      GREETING: 'hello env',
      PORT: port,
      URL: `http://localhost:${port}`,
      TOKEN: 's3cret',
      CFG_level: 'high',
      'odd.name': 'kept',
    });
    assert.deepEqual(argv, ['hello env', '$(GREETING)']);
    assert.match(TMPDIR, /\/kw-[0-9a-f]{12}$/);
    for (const path of [HOME, KITTIWAKE_ROOT, KITTIWAKE_CONTAINER, NODE_COMPILE_CACHE]) {
      assert.ok(path.startsWith(join(node.dir, 'node/pods', pod.metadata.uid ?? '')));
    }
    assert.ok(PATH.length > 0);
    await node.remove('env');
  });

  test('volumes appear inside the copy of the image, and an event says that', async () => {
    const image = await imageOf(`
    import { readFileSync, writeFileSync } from 'node:fs';
    const root = process.env.KITTIWAKE_ROOT;
    console.log(readFileSync(root + '/etc/conf/a/level', 'utf8'), readFileSync('conf/level', 'utf8'));
    writeFileSync('scratch/file', 'x');
    ${server}`);
    await node.run(
      'volumes',
      image,
      {
        volumeMounts: [
          { name: 'conf', mountPath: '/etc/conf/a' },
          { name: 'conf', mountPath: '/app/conf' },
          { name: 'scratch', mountPath: '/app/scratch' },
        ],
      },
      {
        volumes: [
          { name: 'conf', configMap: { name: 'settings' } },
          { name: 'scratch', emptyDir: {} },
        ],
      },
    );
    assert.match(await node.logs(await node.ready('volumes')), /^high high\n/);
    const events = await node.events('volumes', 'NotIsolated');
    assert.ok(events.some((e) => e.includes('/app/conf') && e.includes('$KITTIWAKE_ROOT')));
    await node.remove('volumes');
  });

  test('init containers run first, one after the other', async () => {
    const init = (name: string) => ({ name, image: web, command: ['node', '-e', `console.log('${name}')`] });
    await node.run('init', web, {}, { initContainers: [init('a'), init('b')] });
    const pod = await node.ready('init');
    const states = pod.status?.initContainerStatuses?.map((s) => s.state?.terminated?.reason);
    assert.deepEqual(states, ['Completed', 'Completed']);
    await node.remove('init');
  });

  test('each pod has a working copy of its own', async () => {
    const image = await imageOf(`
    import { existsSync, writeFileSync } from 'node:fs';
    console.log(existsSync('mark'));
    writeFileSync('mark', '');
    ${server}`);
    for (const name of ['first', 'second']) {
      await node.run(name, image);
      assert.match(await node.logs(await node.ready(name)), /^false\n/);
    }
    await Promise.all([node.remove('first'), node.remove('second')]);
  });

  test('an agent that stops with its pods ends them, and the next one runs them again', async () => {
    await node.run('again', web);
    const before = Number(await ask(await node.ready('again')));
    await node.restartAgent({ stopPods: true });
    assert.equal(isAlive(before), false);
    const pod = await node.until('again', 'ready again', (p) => {
      const status = p?.status?.containerStatuses?.[0];
      return status?.ready === true && status.restartCount === 1;
    });
    assert.notEqual(Number(await ask(pod)), before);
    await node.remove('again');
  });

  test('an agent that stops without its pods leaves them ready, and the next one goes on with them', async () => {
    await node.run('stays', web);
    const before = await node.ready('stays');
    const pid = await ask(before);
    await node.restartAgent({ stopPods: false });
    assert.equal(await ask(before), pid);
    const now = await node.client.get(PodKind, { namespace: 'default', name: 'stays' });
    assert.deepEqual(now?.status, before.status);
    process.kill(Number(pid), 'SIGKILL');
    const pod = await node.until('stays', 'restarted', (p) => p?.status?.containerStatuses?.[0]?.restartCount === 1);
    assert.equal(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.reason, 'ContainerStatusUnknown');
    await node.ready('stays');
    await node.remove('stays');
  });

  test('a pod whose port was taken while it did not run gets another', async () => {
    await node.run('moved', web);
    const before = await node.ready('moved');
    const thief = createServer().unref();
    await node.restartAgent({
      stopPods: true,
      meanwhile: () => new Promise((resolve) => thief.listen(hostPortOf(before), '127.0.0.1', () => resolve())),
    });
    const pod = await node.until('moved', 'ready again', (p) => {
      const status = p?.status?.containerStatuses?.[0];
      return status?.ready === true && status.restartCount === 1;
    });
    thief.close();
    assert.notEqual(hostPortOf(pod), hostPortOf(before));
    assert.ok(Number(await ask(pod)) > 0);
    await node.remove('moved');
  });

  test('nothing is left on disk of pods that are gone', () => {
    assert.deepEqual(readdirSync(join(node.dir, 'node/pods')), []);
    assert.deepEqual(readdirSync(join(node.dir, 'node/volumes')), []);
  });
});
