/** Traffic among immutable revisions: percentages, tags, and going back, without an error on the way. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile } from '../kit/platform.ts';

const key = { namespace: 'default', name: 'app' };
const { dataDir, platform } = await platformOfFile();

const server = (reply: string) => `import { createServer } from 'node:http';
createServer((request, response) => response.end('${reply}')).listen(process.env.PORT);
`;

async function apply(reply: string, traffic: object[]): Promise<void> {
  const files = { 'package.json': '{"type": "module", "main": "server.js"}', 'server.js': server(reply) };
  const spec = {
    build: { source: { files } },
    template: { spec: { containers: [{ image: 'build://output' }] } },
    ...(traffic.length > 0 ? { traffic } : {}),
  };
  const file = join(dataDir, 'app.json');
  writeFileSync(
    file,
    JSON.stringify({ apiVersion: 'serving.knative.dev/v1', kind: 'Service', metadata: { name: 'app' }, spec }),
  );
  const applied = await kittiwake(dataDir, 'apply', '-f', file);
  assert.equal(applied.code, 0, applied.stderr);
  await eventually(
    'ready',
    async () => (isReady(await platform.client.get(ServiceKind, key)) ? true : undefined),
    60_000,
  );
}

async function count(requests: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < requests; i++) {
    const { status, body } = await fetchThroughGateway(platform, 'app');
    const answer = status === 200 ? body : `HTTP ${status}`;
    counts[answer] = (counts[answer] ?? 0) + 1;
  }
  return counts;
}

test('traffic is split by percent between two revisions, and tags reach each by a host of its own', async () => {
  await apply('blue', []);
  await apply('green', [
    { revisionName: 'app-00001', percent: 50, tag: 'old' },
    { latestRevision: true, percent: 50, tag: 'new' },
  ]);
  const counts = await count(200);
  assert.deepEqual(Object.keys(counts).sort(), ['blue', 'green']);
  // A fair coin shows fewer than 60 heads in 200 throws once in 100 million runs.
  assert.ok((counts.blue ?? 0) > 60 && (counts.green ?? 0) > 60, JSON.stringify(counts));
  assert.equal((await fetchThroughGateway(platform, 'app', '/', { host: 'old-app.default.localhost' })).body, 'blue');
  assert.equal((await fetchThroughGateway(platform, 'app', '/', { host: 'new-app.default.localhost' })).body, 'green');
});

test('all traffic goes back to the first revision by changing the percents alone', async () => {
  const service = await platform.client.get(ServiceKind, key);
  assert.ok(service);
  const traffic = [{ revisionName: 'app-00001', percent: 100, latestRevision: false }];
  await platform.client.patch(ServiceKind, key, { type: 'merge', patch: { spec: { traffic } } });
  await eventually('only blue', async () => {
    const counts = await count(20);
    return counts.blue === 20 ? true : undefined;
  });
  const { items } = await platform.client.list(RevisionKind, { namespace: 'default' });
  assert.equal(items.length, 2, 'no revision was made for it');
});

test('a revision cannot be changed', async () => {
  const patch = { spec: { timeoutSeconds: 5 } };
  const change = platform.client.patch(
    RevisionKind,
    { namespace: 'default', name: 'app-00001' },
    { type: 'merge', patch },
  );
  await assert.rejects(change, /spec/);
});

test('during a change of revision no request fails', async () => {
  let isOver = false;
  const failed: string[] = [];
  const load = (async () => {
    while (!isOver) {
      const { status, body } = await fetchThroughGateway(platform, 'app');
      if (status !== 200) failed.push(`${status} ${body}`);
    }
  })();
  await apply('red', [{ latestRevision: true, percent: 100 }]);
  await eventually('red serves', async () => ((await count(10)).red === 10 ? true : undefined));
  isOver = true;
  await load;
  assert.deepEqual(failed, []);
});
