/** What users get wrong: a clear error that names field, value and remedy; what worked before goes on working. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PodKind } from '../../src/api/core/pod.ts';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { conditionOf, isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile } from '../kit/platform.ts';

const { dataDir, platform } = await platformOfFile();

interface Files {
  [path: string]: string;
}

const server = (reply: string) => `import { createServer } from 'node:http';
createServer((request, response) => response.end('${reply}')).listen(process.env.PORT);
`;
const packageJson = '{"name": "app", "type": "module", "main": "index.js"}';

async function apply(yaml: string) {
  const file = join(dataDir, 'manifest.yaml');
  writeFileSync(file, yaml);
  return kittiwake(dataDir, 'apply', '-f', file);
}

function serviceOf(name: string, spec: object): string {
  return JSON.stringify({ apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata: { name }, spec });
}

const built = (files: Files, container: object = {}) => ({
  build: { source: { files } },
  template: { spec: { containers: [{ image: 'build://output', ...container }] } },
});

const service = (name: string) => platform.client.get(ServiceKind, { namespace: 'default', name });
const untilReady = (name: string) =>
  eventually(`${name} ready`, async () => ((await isReadyNow(name)) ? true : undefined), 60_000);
const isReadyNow = async (name: string) => isReady(await service(name));
/** The message of Ready once it is False for the newest generation. */
const failureOf = (name: string) =>
  eventually(
    `${name} has failed`,
    async () => {
      const found = await service(name);
      const ready = conditionOf(found, 'Ready');
      return ready?.status === 'False' && found?.status?.observedGeneration === found?.metadata.generation
        ? `${ready.reason}: ${ready.message}`
        : undefined;
    },
    90_000,
  );

test('an unknown field is refused with its path and its line', async () => {
  const yaml = `apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: typo
spec:
  template:
    spec:
      containres:
        - image: x
      containers:
        - image: x
          envv: []
`;
  const result = await apply(yaml);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /manifest\.yaml:8.*manifest\.yaml:12/);
  assert.match(result.stderr, /unknown field "spec\.template\.spec\.containres"/);
  assert.match(result.stderr, /unknown field "spec\.template\.spec\.containers\[0\]\.envv"/);
  assert.equal(await service('typo'), undefined);
});

test('broken YAML is refused with its line', async () => {
  const result = await apply('apiVersion: v1\nkind:\n  - a\n b: c\n');
  assert.equal(result.code, 1);
  assert.match(result.stderr, /manifest\.yaml:4:/);
});

test('percents that do not sum to 100 are refused with the field and the value', async () => {
  const result = await apply(
    `apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: split}
spec:
  template: {spec: {containers: [{image: "registry.localhost/default/x@sha256:${'0'.repeat(64)}"}]}}
  traffic:
    - {latestRevision: true, percent: 50}
    - {revisionName: split-1, percent: 150}
`,
  );
  assert.equal(result.code, 1);
  assert.match(result.stderr, /spec\.traffic/);
  assert.match(result.stderr, /150|200/);
  assert.match(result.stderr, /100/);
});

test('an image that does not exist is said in the conditions', async () => {
  const image = `registry.localhost/default/nothing@sha256:${'1'.repeat(64)}`;
  await apply(serviceOf('no-image', { template: { spec: { containers: [{ image }] } } }));
  assert.match(await failureOf('no-image'), /nothing.*sha256:1111|not found|unknown/i);
});

test('a commit of a repository that does not exist is said in the conditions', async () => {
  const source = { git: { url: `${platform.addresses.registryUrl}/nowhere.git`, revision: 'main' } };
  const spec = { build: { source }, template: { spec: { containers: [{ image: 'build://output' }] } } };
  await apply(serviceOf('no-commit', spec));
  assert.match(await failureOf('no-commit'), /nowhere\.git/);
});

test('a failing compile names file and line, and the previous revision keeps serving', async () => {
  const good = { 'package.json': '{"type": "module", "main": "server.ts"}', 'server.ts': server('first') };
  await apply(serviceOf('compile', built(good)));
  await untilReady('compile');
  await apply(serviceOf('compile', built({ ...good, 'server.ts': `const a: number = 1;\nlet b: = 2;\n` })));
  const message = await failureOf('compile');
  assert.match(message, /server\.ts:2/);
  assert.equal((await fetchThroughGateway(platform, 'compile')).body, 'first');

  await apply(serviceOf('compile', built({ ...good, 'server.ts': server('second') })));
  await untilReady('compile');
  await eventually('the new revision serves', async () =>
    (await fetchThroughGateway(platform, 'compile')).body === 'second' ? true : undefined,
  );
});

test("a failing install shows npm's own message", async () => {
  const manifest = { name: 'a', type: 'module', main: 'index.js', dependencies: { nanoid: '5.1.12' } };
  const lock = { name: 'a', lockfileVersion: 3, packages: { '': { name: 'a', dependencies: { nanoid: '4.0.0' } } } };
  const files = {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': JSON.stringify(lock),
    'index.js': server('x'),
  };
  await apply(serviceOf('install', built(files)));
  assert.match(await failureOf('install'), /npm|lock/i);
  const log = await kittiwake(dataDir, 'logs', 'install', '--build');
  assert.match(log.stdout, /nanoid/);
});

test('a program that exits at once is said with its exit code and last words', async () => {
  const files = { 'package.json': packageJson, 'index.js': `console.error('no database'); process.exit(7);` };
  await apply(serviceOf('exits', built(files)));
  assert.match(await failureOf('exits'), /no database/);
  const revision = await platform.client.get(RevisionKind, { namespace: 'default', name: 'exits-00001' });
  assert.equal(conditionOf(revision, 'ContainerHealthy')?.reason, 'ExitCode7');
});

test('a program that never listens is told its port, and soon ended, though it spins and ignores SIGTERM', async () => {
  const spin = `process.on('SIGTERM', () => {}); setImmediate(() => { for (;;); });`;
  await apply(serviceOf('deaf', built({ 'package.json': packageJson, 'index.js': spin })));
  assert.match(await failureOf('deaf'), /PORT|port|listen/i);
  const pods = { namespace: 'default', labelSelector: 'serving.knative.dev/service=deaf' };
  const isGone = async () => ((await platform.client.list(PodKind, pods)).items.length === 0 ? true : undefined);
  await eventually('its pods have gone', isGone, 90_000);
});

test('a function that throws answers 500, says why in its log, and serves the next request', async () => {
  const index = `export function handle(context) {
  if (context.query.boom) throw new Error('out of cheese');
  return 'fine';
}
`;
  await apply(serviceOf('thrower', built({ 'package.json': packageJson, 'index.js': index })));
  await untilReady('thrower');
  assert.equal((await fetchThroughGateway(platform, 'thrower', '/?boom=1')).status, 500);
  const reply = await fetchThroughGateway(platform, 'thrower');
  assert.deepEqual([reply.status, reply.body], [200, 'fine']);
  const log = await kittiwake(dataDir, 'logs', 'thrower');
  assert.match(log.stdout, /out of cheese/);
});

test('a function that forgets to reply is ended by its timeout with 504', async () => {
  const spec = built({ 'package.json': packageJson, 'index.js': 'export const handle = () => new Promise(() => {});' });
  const withTimeout = { ...spec, template: { spec: { ...spec.template.spec, timeoutSeconds: 1 } } };
  await apply(serviceOf('forgetful', withTimeout));
  await untilReady('forgetful');
  assert.equal((await fetchThroughGateway(platform, 'forgetful')).status, 504);
});

test('a folder applied by a client that cannot upload is said in a condition, with the remedy', async () => {
  await platform.client.create(ServiceKind, {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'unuploaded', namespace: 'default' },
    spec: {
      build: { source: { folder: './x' } },
      template: { spec: { containers: [{ name: '', image: 'build://output' }] } },
    },
  });
  assert.match(await failureOf('unuploaded'), /kittiwake apply/);
});

test('an event that lacks its id, and one to a broker that does not exist, are refused', async () => {
  const result = await kittiwake(dataDir, 'send', '--broker', 'nobody', '--type', 'a.b', '--data', '{}');
  assert.equal(result.code, 1);
  assert.match(result.stderr, /nobody/);
  await apply('{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: b}}');
  const url = await eventually('the broker takes events', async () => {
    const sent = await kittiwake(dataDir, 'send', '--broker', 'b', '--type', 'a.b', '--data', '{}');
    return sent.code === 0 ? `${platform.addresses.brokerUrl}/default/b` : undefined;
  });
  const reply = await fetch(url, {
    method: 'POST',
    headers: { 'ce-specversion': '1.0', 'ce-type': 'a', 'ce-source': '/' },
  });
  assert.equal(reply.status, 400);
  assert.match(await reply.text(), /id/);
});

test('a deploy that fails shows the build log and exits with 1', async () => {
  const folder = join(dataDir, 'broken');
  mkdirSync(folder);
  writeFileSync(join(folder, 'index.ts'), 'export function handle() {\n  const a: = 1;\n}\n');
  const result = await kittiwake(dataDir, 'deploy', folder);
  assert.equal(result.code, 1);
  assert.match(result.stderr, /index\.ts:2/);
});
