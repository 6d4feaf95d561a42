import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { type Pod, PodKind, portsAnnotation } from '../../api/core/pod.ts';
import type { Container, PodSpec } from '../../api/core/pod-spec.ts';
import { processOf } from '../../lib/processes.ts';
import { Quarantine } from '../../lib/quarantine.ts';
import { ConfigSources, type ReadObject } from './pods/config-sources.ts';
import { fieldOf, type Place, resourceOf } from './pods/environment.ts';
import { mountsOf } from './pods/volumes/mounts.ts';
import { writeVolume } from './pods/volumes/pod-volumes.ts';
import { openTestRegistry, type TestRegistry } from './testing/test-images.ts';
import { hostPortOf, openTestNode, program, server, type TestNode } from './testing/test-node.ts';

const host = { address: '127.0.0.1', cpus: 1, memoryBytes: 1 };
const place: Place = { host, pod: { ips: ['127.0.0.1'], ports: {} } };
const doubling = Array.from({ length: 40 }, (_, i) => ({
  name: `V${i}`,
  value: i === 0 ? 'xxxxxxxx' : `$(V${i - 1})$(V${i - 1})`,
}));

describe('what a pod asks for', () => {
  let registry: TestRegistry;
  let node: TestNode;
  let web: string;

  before(async () => {
    registry = await openTestRegistry();
    node = await openTestNode(registry.client, { quarantine: new Quarantine({ setAside: ['pod default/deadly'] }) });
    web = await registry.push([program(server)]);
  });
  after(async () => {
    await node.stop();
    await registry.stop();
  });

  const waitingOf = (pod: Pod | undefined) =>
    [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])]
      .map((status) => status.state?.waiting)
      .find((waiting) => /^(CreateContainer|RunContainer)/.test(waiting?.reason ?? ''));

  for (const [what, container, expected] of [
    ['variables that double thirty times', { env: doubling }, /becomes longer than 131072 bytes/],
    [
      'an argument of them',
      { env: doubling.slice(0, 10), args: [`$(V9)`.repeat(100)], command: ['node'] },
      /becomes longer than 131072 bytes/,
    ],
    [
      'more arguments than anybody could be given',
      { env: doubling.slice(0, 13), args: Array.from({ length: 100 }, () => '$(V12)'), command: ['node'] },
      /larger than 2097152 bytes together/,
    ],
    ['a variable with a NUL', { env: [{ name: 'A', value: 'a\0b' }] }, /could not be started: .*null bytes/],
    ['a command with a NUL', { command: ['node\0'] }, /exec: "node\0"/],
    ['an argument with a NUL', { args: ['a\0'], command: ['node'] }, /could not be started: .*null bytes/],
    ['a folder as its command', { command: ['/'] }, /exec: "\/"/],
    ['a folder that leads out', { workingDir: '/a/../../b' }, /leads out of the root/],
    ['a folder that is a file', { workingDir: '/app/main.mjs' }, /is not a folder of the image/],
    ['a folder with a NUL', { workingDir: '/a\0b' }, /null bytes/],
    ['a folder of 5,000 letters', { workingDir: `/${'x'.repeat(5_000)}` }, /ENAMETOOLONG/],
    [
      'a key of no ConfigMap',
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'conf', key: 'constructor' } } }] },
      /couldn't find key constructor/,
    ],
  ] as [string, Partial<Container>, RegExp][]) {
    test(`${what} is a failure of that pod, in words`, async () => {
      const data = { a: '1' };
      const metadata = { name: 'conf', namespace: 'default' };
      if (!(await node.client.get(ConfigMapKind, metadata))) {
        await node.client.create(ConfigMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
      }
      await node.run('hostile', web, container);
      const pod = await node.until('hostile', 'refused', (p) => waitingOf(p) !== undefined);
      assert.match(waitingOf(pod)?.message ?? '', expected);
      await node.remove('hostile');
    });
  }

  test('a pod that has ended the process twice is not started, and says how to give it back', async () => {
    await node.run('deadly', web);
    const pod = await node.until('deadly', 'set aside', (p) => waitingOf(p) !== undefined);
    assert.match(waitingOf(pod)?.message ?? '', /"pod default\/deadly" is set aside: .*kittiwake release/);
    await node.remove('deadly');
  });

  for (const [what, text] of Object.entries({
    'no JSON': '{"8080":',
    'a port that is a text': '{"8080":"http"}',
    'a port that there is not': '{"8080":99999}',
    null: 'null',
    'a list': '[1]',
  })) {
    test(`an annotation of ports that is ${what} is made anew`, async () => {
      const container = {
        name: 'c',
        image: web,
        ports: [{ containerPort: 8080 }],
        readinessProbe: { tcpSocket: { port: 8080 } },
      };
      await node.client.create(PodKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'ports', namespace: 'default', annotations: { [portsAnnotation]: text } },
        spec: { containers: [container] },
      });
      assert.ok(hostPortOf(await node.ready('ports')) > 0);
      await node.remove('ports');
    });
  }

  test('two pods with the same annotation of ports do not share them', async () => {
    await node.run('first', web);
    const { metadata, spec } = await node.ready('first');
    const { nodeName: _, ...free } = spec;
    const annotations = metadata.annotations ?? {};
    const copy = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'copy', namespace: 'default', annotations },
      spec: free,
    };
    await node.client.create(PodKind, copy);
    assert.notEqual(hostPortOf(await node.ready('copy')), hostPortOf(await node.ready('first')));
    await Promise.all([node.remove('first'), node.remove('copy')]);
  });

  test('a program that prints without a newline, or no text, has its log and its last words', async () => {
    const loud = await registry.push([
      program(`
      import { writeSync } from 'node:fs';
      writeSync(1, Buffer.alloc(3_000_000, 0x78));
      writeSync(1, Buffer.from([0xff, 0xfe, 0x00, 0x80]));
      process.exit(1);`),
    ]);
    const container: Partial<Container> = { terminationMessagePolicy: 'FallbackToLogsOnError' };
    await node.run('loud', loud, container, { restartPolicy: 'Never' });
    const pod = await node.until('loud', 'over', (p) => p?.status?.phase === 'Failed');
    const message = pod.status?.containerStatuses?.[0]?.state?.terminated?.message ?? '';
    assert.ok(message.length > 1_000 && message.length <= 4_096, String(message.length));
    assert.ok((await node.logs(pod)).length >= 3_000_000);
    await node.remove('loud');
  });

  test('a program ends when it ends, though its children hold its output open', async () => {
    const parent = await registry.push([
      program(`
      import { spawn } from 'node:child_process';
      const child = spawn('sleep', ['1000'], { detached: true, stdio: 'inherit' });
      console.log(child.pid);
      child.unref();`),
    ]);
    await node.run('parent', parent, {}, { restartPolicy: 'Never' });
    const pod = await node.until('parent', 'over', (p) => p?.status?.phase === 'Succeeded');
    const child = Number((await node.logs(pod)).trim());
    assert.ok(child > 1);
    if (process.platform === 'linux') assert.equal(processOf(child), undefined);
    await node.remove('parent');
  });

  test('folders and links that a program leaves behind are removed with its pod, and nothing outside', async () => {
    const messy = await registry.push([
      program(`
      import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
      mkdirSync('scratch/a/b', { recursive: true });
      symlinkSync('/etc', 'scratch/a/etc');
      chmodSync('scratch/a', 0);
      ${server}`),
    ]);
    const volumeMounts = [{ name: 'scratch', mountPath: '/app/scratch' }];
    await node.run('messy', messy, { volumeMounts }, { volumes: [{ name: 'scratch', emptyDir: {} }] });
    await node.ready('messy');
    await node.remove('messy');
    assert.ok(existsSync('/etc/passwd'));
    assert.deepEqual(readdirSync(join(node.dir, 'node/volumes')), []);
  });

  test('a subPath that a container has made a link to what is outside is refused', async () => {
    const mount = { name: 'v', mountPath: '/app/v' };
    const plant = "fs.symlinkSync('/etc', 'v/way')";
    const planting = {
      name: 'plant',
      image: web,
      command: ['node', '-e', plant],
      volumeMounts: [mount],
    };
    const spec: Partial<PodSpec> = { volumes: [{ name: 'v', emptyDir: {} }], initContainers: [planting] };
    await node.run('planted', web, { volumeMounts: [{ ...mount, subPath: 'way/ssl' }] }, spec);
    const pod = await node.until('planted', 'refused', (p) => waitingOf(p) !== undefined);
    assert.match(waitingOf(pod)?.message ?? '', /leads through the link way/);
    await node.remove('planted');
  });

  test('annotations that leave no room for the ports are told of, and end with the pod', async () => {
    await node.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'full', namespace: 'default', annotations: { a: 'x'.repeat(262_140) } },
      spec: { containers: [{ name: 'c', image: web, ports: [{ containerPort: 8080 }] }] },
    });
    const events = await node.events('full', 'FailedScheduling');
    assert.match(events.join('\n'), /the pod cannot be claimed: .*metadata.annotations: Too long/);
    await node.remove('full');
  });

  test('volumes never write outside, whatever their paths are and whatever was there before', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kittiwake-volumes-'));
    const make = (items: { key: string; path: string }[] | undefined) => {
      const volume = { name: 'v', configMap: { name: 'conf', ...(items ? { items } : {}) } };
      const pod: Pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'p', namespace: 'default' },
        spec: { containers: [], volumes: [volume] },
      };
      const read: ReadObject = (kind, key) => node.client.get(kind, key);
      const sources = new ConfigSources(read, 'default');
      return writeVolume(volume, join(dir, 'volumes'), { pod, place, sources, read, nowMs: 0 });
    };
    for (const path of ['../../outside', 'a/../../outside', '..data', '..', '.', '', '/']) {
      await assert.rejects(make([{ key: 'a', path }]), /leads out of the volume|no file can have the path/, path);
    }
    await assert.rejects(make([{ key: '__proto__', path: 'x' }]), /non-existent config key/);
    mkdirSync(join(dir, 'elsewhere'));
    mkdirSync(join(dir, 'volumes/v'), { recursive: true });
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'volumes/v/sub'));
    writeFileSync(join(dir, 'volumes/v/old'), '');
    await make([{ key: 'a', path: 'sub/file' }]);
    assert.deepEqual(readdirSync(join(dir, 'elsewhere')), []);
    const [version = ''] = readdirSync(join(dir, 'volumes/v')).filter((name) => name.startsWith('..1970'));
    // What is none of the node's links stays.
    assert.deepEqual(readdirSync(join(dir, 'volumes/v')).sort(), [version, '..data', 'old', 'sub']);
    assert.deepEqual(readdirSync(join(dir, 'volumes/v', version, 'sub')), ['file']);
    assert.equal(readlinkSync(join(dir, 'volumes/v/sub')), '..data/sub');
    const subPath = (inner: string) =>
      mountsOf(
        { name: 'c', volumeMounts: [{ name: 'v', mountPath: '/v', subPathExpr: inner }] },
        [{ name: 'v', emptyDir: {} }],
        new Map([['v', join(dir, 'volumes/v')]]),
        { UP: '..' },
      );
    await assert.rejects(subPath('$(UP)/$(UP)'), /leads out of the volume/);
    assert.deepEqual(await subPath('new/folder'), [
      { source: join(dir, 'volumes/v/new/folder'), path: '/v', isReadOnly: false, within: join(dir, 'volumes/v') },
    ]);
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'volumes/v/out'));
    await assert.rejects(subPath('out'), /the subPath out leads through the link out/);
    await assert.rejects(subPath('out/new'), /the subPath out\/new leads through the link out/);
    assert.deepEqual(readdirSync(join(dir, 'elsewhere')), []);
    assert.ok(existsSync(join(dir, 'volumes/v/new/folder')));
    rmSync(dir, { recursive: true });
  });

  test('fields that objects inherit are not those of a pod', () => {
    const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', labels: {} }, spec: { containers: [] } };
    assert.equal(fieldOf(pod, "metadata.labels['__proto__']", place), '');
    assert.equal(fieldOf(pod, "metadata.annotations['constructor']", place), '');
    assert.throws(() => fieldOf(pod, 'spec.nothing', place), /fieldPath spec.nothing is not supported/);
    assert.equal(resourceOf({ name: 'c', resources: { limits: {} } }, 'limits.constructor', undefined, host), '0');
  });
});
