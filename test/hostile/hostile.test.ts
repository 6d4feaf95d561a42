/**
 * Hostile inputs through every door, used behind it: whatever is in them is a failure of that one thing. The corpus is
 * gone through twice; afterwards every role is the process that it was, nothing is set aside, the platform does its
 * work, and the second time has taken no memory that the first had not.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { CustomResourceDefinitionKind } from '../../src/api/apiextensions/custom-resource-definition.ts';
import { DeploymentKind } from '../../src/api/apps/deployment.ts';
import { BuildKind } from '../../src/api/build/build.ts';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { type Pod, PodKind } from '../../src/api/core/pod.ts';
import { SecretKind } from '../../src/api/core/secret.ts';
import { EndpointSliceKind } from '../../src/api/discovery/endpoint-slice.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import type { Kind } from '../../src/api/kind.ts';
import { type Key, keyOf } from '../../src/api/meta.ts';
import { IngressKind } from '../../src/api/networking/ingress.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { PingSourceKind } from '../../src/api/sources/ping-source.ts';
import { SinkBindingKind } from '../../src/api/sources/sink-binding.ts';
import { digestOf } from '../../src/registry/index.ts';
import { autoscalerSocket } from '../../src/server/autoscaler-socket.ts';
import { listSetAside } from '../../src/server/quarantine-files.ts';
import { listRestarts } from '../../src/server/restarts.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, roleProcesses } from '../kit/platform.ts';
import { events } from './corpus/events.ts';
import { type Image, images } from './corpus/images.ts';
import { manifests } from './corpus/manifests.ts';
import { objects } from './corpus/objects.ts';
import { replies } from './corpus/replies.ts';
import { reports } from './corpus/reports.ts';
import { requests } from './corpus/requests.ts';
import { sources } from './corpus/sources.ts';
import { bytesFor, type Door, doorsOf, tell } from './doors.ts';
import { type HostileWorld, openHostileWorld, residentBytes } from './world.ts';

/** What a role may have more after the second round than after the first; its own ups and downs are half of that. */
const growthBytesMax = 96 * 1024 * 1024;
const atOnce = 8;

/** What the corpus would leave outside, and what was there already. */
const namesOfOurs = () => readdirSync(tmpdir()).filter((name) => name.startsWith('hostile-'));
const namesBefore = namesOfOurs();

let world: HostileWorld;
let firstRoles: Record<string, number>;
let isFirstRound = true;
/** The most that each role had in the first round, in bytes. */
const memoryOfFirst: Record<string, number> = {};

before(async () => {
  world = await openHostileWorld();
  firstRoles = roles();
});
after(() => world.stop());

const roles = () => roleProcesses(world.platform.process.pid ?? 0);
const memory = () => Object.fromEntries(Object.entries(roles()).map(([role, pid]) => [role, residentBytes(pid)]));

test('the corpus has what was promised', () => {
  const lists = [requests, events, replies, objects, sources, images, manifests, reports];
  const count = lists.reduce((sum, list) => sum + Object.keys(list).length, 0);
  assert.ok(count >= 300, `${count} inputs`);
});

for (const round of [1, 2]) {
  describe(`round ${round}`, () => {
    test('requests as bytes, through every door that speaks HTTP', async () => {
      const doors = doorsOf(world.platform, 'canary');
      const cases = doors.flatMap((door) => Object.values(requests).map((request) => ({ door, request })));
      await each(cases, ({ door, request }) => tell(door, bytesFor(door, request)));
      await isWell(`requests ${round}`);
    });

    test('events to the broker, whose subscriber answers with the same', async () => {
      const answers = await each(Object.entries(events), async ([name, message]) => {
        const reply = await fetch(`${world.platform.addresses.brokerUrl}/default/hostile`, {
          method: 'POST',
          headers: Object.entries(message.headers).filter(([, value]) => isHeader(value)),
          body: message.body,
        }).catch(() => undefined);
        return { name, status: reply?.status };
      });
      const odd = answers.filter(({ status }) => status === 500);
      assert.deepEqual(odd, []);
      assert.ok(
        answers.some(({ status }) => status === 202),
        'some are accepted, and used',
      );
      await isWell(`events ${round}`);
    });

    test('replies of a backend, to requests through the gateway', async () => {
      const [gateway] = doorsOf(world.platform, 'replier') as [Door];
      const paths = Object.keys(replies).map((_, i) => `/${i}`);
      await each(paths, (path) =>
        tell(gateway, Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${gateway.host}\r\nConnection: close\r\n\r\n`)),
      );
      await isWell(`replies ${round}`);
    });

    test('objects, patches and questions to the API', async () => {
      const victim = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'victim', namespace: 'default' },
        data: { a: 'b' },
      };
      await world.platform.client.create(ConfigMapKind, victim);
      const answers = await each(Object.entries(objects), async ([name, { method, path, body, type }]) => ({
        name,
        ...(await world.api(method, path, body, type)),
      }));
      const odd = answers.filter(({ status }) => status === 500 || status === 0);
      assert.deepEqual(odd, []);
      assert.ok(
        answers.some(({ status }) => status === 201),
        'some are accepted, and used',
      );
      await isWell(`objects ${round}`);
      await removeAll();
    });

    test('images that are pushed, and run as pods', async () => {
      const keys = await each(Object.entries(images), ([name, image]) => runImage(name, image));
      const pods = keys.filter((key) => key !== undefined);
      await each(pods, (key) => eventually(`${key.name} got somewhere`, () => outcomeOf(key), 120_000));
      await isWell(`images ${round}`);
      await removeAll();
      await eventually(
        'the end of all pods',
        async () => {
          const left = await hostilePods();
          if (left.length === 0) return true;
          throw new Error(left.map(({ metadata, status }) => JSON.stringify([metadata, status])).join('\n'));
        },
        90_000,
      );
    });

    test('folders that are built', async () => {
      const keys = await each(Object.values(sources), build);
      await each(
        keys.filter((key) => key !== undefined),
        (key) => eventually(`${key.name} has ended`, () => isBuilt(key), 180_000),
      );
      await isWell(`sources ${round}`);
      await removeAll();
    });

    test('reports to the autoscaler', async () => {
      await each(Object.values(reports), (report) => tell(reportDoor(), Buffer.from(post('/v1/stats', report))));
      await isWell(`reports ${round}`);
    });

    test('memory', async () => {
      isFirstRound = false;
      // What is garbage by now is collected sooner or later; what is kept stays.
      await eventually('memory as in the first round', async () => {
        for (const [role, bytes] of Object.entries(memory())) {
          const grown = bytes - (memoryOfFirst[role] ?? 0);
          assert.ok(grown < growthBytesMax, `${role} has ${grown} bytes more than in the first round`);
        }
        return true;
      });
    });
  });
}

test('files for kittiwake apply end with an error in words, or are applied', async () => {
  const file = join(world.platform.dataDir, 'hostile.yaml');
  for (const [name, text] of Object.entries(manifests)) {
    writeFileSync(file, text);
    const { code, stderr } = await kittiwake(world.platform.dataDir, 'apply', '-f', file);
    assert.ok(code === 0 || /^error: /m.test(stderr), `${name}: exit code ${code}: ${stderr}`);
    assert.doesNotMatch(stderr, /\n {4}at .*\.ts:\d+/, `${name} shows a stack`);
  }
  await isWell('manifests');
});

test('nothing was written outside the data folder', () => {
  assert.deepEqual(
    namesOfOurs().filter((name) => !namesBefore.includes(name)),
    [],
  );
  assert.equal(existsSync('/hostile-escape'), false);
});

/** Does `work` for each item, some at once; gives what it gives in their order. */
async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** The platform is the same processes as at first, sets nothing aside, and does its work. */
async function isWell(when: string): Promise<void> {
  const { platform, delivered } = world;
  assert.deepEqual(listRestarts(platform.dataDir), [], `a role was started again: ${when}`);
  assert.deepEqual(roles(), firstRoles, when);
  assert.deepEqual(listSetAside(platform.dataDir), [], when);
  await eventually('a request is served', async () => {
    const { status, body } = await fetchThroughGateway(platform, 'canary', '/', {
      host: 'canary.default.svc.cluster.local',
    });
    return status === 200 && body === 'alive' ? true : undefined;
  });
  const id = `canary ${when} ${Math.random()}`.replaceAll(' ', '-');
  const headers = { 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/canary', 'ce-type': 'canary' };
  const accepted = await fetch(`${platform.addresses.brokerUrl}/default/hostile`, { method: 'POST', headers });
  assert.equal(accepted.status, 202, when);
  await eventually('an event is delivered', async () => (delivered.has(id) ? true : undefined));
  assert.ok((await platform.client.list(PodKind, {})).items.length > 0);
  if (isFirstRound) notePeak();
}

function notePeak(): void {
  for (const [role, bytes] of Object.entries(memory())) {
    memoryOfFirst[role] = Math.max(bytes, memoryOfFirst[role] ?? 0);
  }
}

/** Whether fetch would send it: what it would not is no input for the broker. */
const isHeader = (value: string) => /^[\t\x20-\x7e\x80-\xff]*$/.test(value);

const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;

function reportDoor(): Door {
  const [door] = doorsOf(world.platform, '').filter(({ name }) => name === 'autoscaler');
  assert.ok(door && autoscalerSocket(world.platform.dataDir));
  return door;
}

let serial = 0;

/** Pushes the image without asking whether it is one, and makes a pod of it; undefined when the registry refuses it. */
async function runImage(name: string, image: Image): Promise<Key | undefined> {
  const repository = `${world.platform.addresses.registryUrl}/v2/hostile/image${serial++}`;
  const put = async (path: string, body: Buffer | string, type = 'application/octet-stream') =>
    fetch(`${repository}${path}`, { method: 'PUT', headers: { 'content-type': type }, body });
  const upload = async (content: Buffer) => {
    const started = await fetch(`${repository}/blobs/uploads/`, { method: 'POST' });
    const url = new URL(started.headers.get('location') ?? '', world.platform.addresses.registryUrl);
    url.searchParams.set('digest', digestOf(content));
    const done = await fetch(url, { method: 'PUT', body: content });
    assert.equal(done.status, 201, `${name}: ${await done.text()}`);
    return { mediaType: 'application/octet-stream', digest: digestOf(content), size: content.length };
  };
  const tar = image.layer ?? (await tarOf(image.entries ?? [['app/main.mjs', 'setInterval(() => {}, 1000)']]));
  const given = 'config' in image ? image.config : { Entrypoint: ['node', 'main.mjs'], WorkingDir: '/app' };
  const configuration = {
    os: 'linux',
    architecture: 'amd64',
    config: given,
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  };
  const config = {
    ...(await upload(Buffer.from(JSON.stringify(configuration)))),
    mediaType: 'application/vnd.oci.image.config.v1+json',
  };
  const layer = { ...(await upload(gzipSync(tar))), mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' };
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = image.manifest ?? JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] });
  const pushed = await put('/manifests/latest', manifest, mediaType);
  if (pushed.status !== 201) {
    assert.ok(pushed.status >= 400 && pushed.status < 500, `${name}: ${pushed.status} ${await pushed.text()}`);
    return undefined;
  }
  const reference = `registry.localhost${new URL(repository).pathname.slice(3)}:latest`;
  return create('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'image-' },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: reference }] },
  });
}

async function tarOf(entries: NonNullable<Image['entries']>): Promise<Buffer> {
  const tar = pack();
  for (const [name, entry] of entries) {
    if (typeof entry === 'string') tar.entry({ name, mode: 0o644 }, entry);
    else tar.entry({ name, mode: 0o755, ...entry });
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function create(plural: string, object: object): Promise<Key | undefined> {
  const group = plural === 'pods' ? '/api/v1' : '/apis/build.knative.dev/v1alpha1';
  const { status, text } = await world.api('POST', `${group}/namespaces/default/${plural}`, JSON.stringify(object));
  if (status === 201) return keyOf(JSON.parse(text));
  assert.ok(status >= 400 && status < 500, `${status} ${text}`);
  return undefined;
}

/** Whether the pod runs, has ended, or waits with a reason. */
async function outcomeOf(key: Key): Promise<true | undefined> {
  const pod = await world.platform.client.get(PodKind, key);
  const state = pod?.status?.containerStatuses?.[0]?.state;
  const isSomewhere = state?.running ?? state?.terminated ?? state?.waiting?.reason;
  return isSomewhere && isSomewhere !== 'ContainerCreating' ? true : undefined;
}

function build(files: Record<string, string>): Promise<Key | undefined> {
  return create('builds', {
    apiVersion: 'build.knative.dev/v1alpha1',
    kind: 'Build',
    metadata: { generateName: 'source-' },
    spec: { source: { files } },
  });
}

async function isBuilt(key: Key): Promise<true | undefined> {
  const found = await world.platform.client.get(BuildKind, key);
  const state = found?.status?.conditions?.find(({ type }) => type === 'Succeeded' || type === 'Ready')?.status;
  return found === undefined || state === 'True' || state === 'False' ? true : undefined;
}

async function hostilePods(): Promise<Pod[]> {
  const { items } = await world.platform.client.list(PodKind, { namespace: 'default' });
  return items.filter(({ metadata }) => !/^(canary|replier)-/.test(metadata.name));
}

/** What the corpus makes, and what is made of it, the owners first. */
const made: readonly Kind[] = [
  ServiceKind,
  TriggerKind,
  PingSourceKind,
  SinkBindingKind,
  BuildKind,
  DeploymentKind,
  IngressKind,
  EndpointSliceKind,
  ConfigMapKind,
  SecretKind,
  PodKind,
] as readonly unknown[] as readonly Kind[];

/** Deletes what the corpus has made, and nothing that the suite stands on. */
async function removeAll(): Promise<void> {
  const { client } = world.platform;
  const merge = 'application/merge-patch+json';
  await world.api(
    'PATCH',
    '/api/v1/namespaces/default/configmaps/h-finalizers',
    '{"metadata":{"finalizers":null}}',
    merge,
  );
  const kept = /^(canary|replier|hostile|kube-root-ca\.crt|kubernetes)([-.\w]*)$/;
  for (const kind of made) {
    for (const { metadata } of (await client.list(kind, { namespace: 'default' })).items) {
      if (!kept.test(metadata.name)) await client.delete(kind, metadata);
    }
  }
  for (const { metadata } of (await client.list(CustomResourceDefinitionKind)).items) {
    if (metadata.name.endsWith('.hostile.example')) await client.delete(CustomResourceDefinitionKind as Kind, metadata);
  }
}
