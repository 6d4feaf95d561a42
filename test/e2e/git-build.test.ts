/** The example built from a real git repository over git's smart HTTP protocol: by branch, the commit recorded. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BuildKind } from '../../src/api/build/build.ts';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { type Service, ServiceKind } from '../../src/api/serving/service.ts';
import { type GitServer, startGitServer } from '../../src/build/testing/git-server.ts';
import { conditionOf, isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, newDataDir, startTestPlatform, type TestPlatform } from '../kit/platform.ts';

const example = fileURLToPath(new URL('../../examples/orders', import.meta.url));
const key = { namespace: 'default', name: 'receipts' };
const event = {
  'ce-id': '1',
  'ce-source': '/orders',
  'ce-type': 'order.placed',
  'ce-specversion': '1.0',
};

const { dataDir, remove } = newDataDir();
const gitDir = mkdtempSync(join(tmpdir(), 'kittiwake-git-'));
let platform: TestPlatform;
let git: GitServer;
before(async () => {
  git = await startGitServer(gitDir);
  platform = await startTestPlatform(dataDir);
});
after(async () => {
  await platform.stop();
  await git.stop();
  remove();
  rmSync(gitDir, { recursive: true, force: true });
});

/** The files of the example, with those of `changed` instead. */
function exampleFiles(changed: Record<string, string> = {}): Record<string, string> {
  const paths = readdirSync(example, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name));
  const files = Object.fromEntries(paths.map((path) => [path.slice(example.length + 1), readFileSync(path, 'utf8')]));
  return { ...files, ...changed };
}

const build = (revision: string) => ({ source: { git: { url: git.url, revision }, subPath: 'receipts' } });

/** The function answers an order with its receipt. */
async function sendOrder(): Promise<void> {
  const body = JSON.stringify({ id: 'o1', customer: 'Ada', currency: 'EUR', totalCents: 900 });
  const reply = await fetchThroughGateway(platform, 'receipts', '/', { method: 'POST', headers: event, body });
  assert.deepEqual([reply.status, reply.headers['ce-type']], [200, 'receipt.issued'], reply.body);
}

async function untilService(what: string, isSo: (service: Service) => boolean): Promise<Service> {
  const find = async () => {
    const service = await platform.client.get(ServiceKind, key);
    return service && isSo(service) ? service : undefined;
  };
  return eventually(what, find, 60_000);
}

test('a Service is built from a branch, and its Build records the commit', async () => {
  const commit = git.commit('main', exampleFiles());
  const metadata = { name: key.name, namespace: key.namespace };
  const spec = { build: build('main') } as Service['spec'];
  await platform.client.create(ServiceKind, { apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata, spec });
  await untilService('receipts ready', isReady);
  const made = await platform.client.get(BuildKind, { ...key, name: 'receipts-00001' });
  assert.deepEqual(made?.status?.source, { commit });
  const revision = await platform.client.get(RevisionKind, { ...key, name: 'receipts-00001' });
  assert.equal(revision?.spec.containers[0]?.image, made?.status?.output?.image);
  await sendOrder();
});

test('a commit that does not compile fails with file and line, and the revision before it keeps serving', async () => {
  const bad = git.commit('main', exampleFiles({ 'receipts/index.ts': 'export const handle = (;\n' }));
  const service = await platform.client.get(ServiceKind, key);
  assert.ok(service);
  await platform.client.update(ServiceKind, { ...service, spec: { ...service.spec, build: build(bad) } } as Service);
  const hasFailed = (s: Service) => conditionOf(s, 'ConfigurationsReady')?.status === 'False';
  const failed = await untilService('the failure reported', hasFailed);
  assert.match(conditionOf(failed, 'ConfigurationsReady')?.message ?? '', /index\.ts:1: /);
  assert.equal(failed.status?.latestReadyRevisionName, 'receipts-00001');
  await sendOrder();
});

test('a commit that does not exist is said so, with the commit', async () => {
  const nowhere = 'f'.repeat(40);
  const service = await platform.client.get(ServiceKind, key);
  assert.ok(service);
  await platform.client.update(ServiceKind, {
    ...service,
    spec: { ...service.spec, build: build(nowhere) },
  } as Service);
  const hasFailed = (s: Service) => {
    const condition = conditionOf(s, 'ConfigurationsReady');
    return condition?.status === 'False' && (condition.message?.includes(nowhere) ?? false);
  };
  const failed = await untilService('the missing commit reported', hasFailed);
  assert.match(conditionOf(failed, 'ConfigurationsReady')?.message ?? '', /has no branch, tag or commit f+/);
});
