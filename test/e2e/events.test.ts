/** Events of every kind on their way: pings, filters, replies, dead letters, and the trace that goes with them. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { Filter } from '../../src/api/eventing/filter.ts';
import { TriggerKind } from '../../src/api/eventing/trigger.ts';
import type { KubeObject } from '../../src/api/meta.ts';
import { ServiceKind } from '../../src/api/serving/service.ts';
import { PingSourceKind } from '../../src/api/sources/ping-source.ts';
import { isReady } from '../kit/conditions.ts';
import { fetchThroughGateway } from '../kit/gateway.ts';
import { eventually, kittiwake, platformOfFile } from '../kit/platform.ts';

/** Notes each request in a file; what it answers, and whether it sends an event itself, depends on the path. */
const app = `import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const { url: path, headers } = request;
  appendFileSync(process.env.SEEN, JSON.stringify({ path, headers, body }) + '\\n');
  const ce = (type, id) => ({ 'ce-specversion': '1.0', 'ce-id': id, 'ce-type': type, 'ce-source': '/app' });
  if (path === '/fails') response.writeHead(500).end('no thanks');
  else if (path === '/replies') response.writeHead(200, ce('answer', 'answer-1')).end('hello back');
  else if (path === '/emits') {
    const sent = { method: 'POST', headers: { ...ce('traced', 'traced-1'), traceparent: headers.traceparent } };
    response.writeHead((await fetch(process.env.BROKER, sent)).status).end();
  } else response.end();
}).listen(process.env.PORT);
`;

interface Seen {
  path: string;
  headers: Record<string, string>;
  body: string;
}

const namespace = 'default';
const ce = (type: string, id: string, more: Record<string, string> = {}) => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-type': type,
  'ce-source': '/test',
  ...more,
});

/** Which of the events `shop.placed`, `shop.paid`, `mail.placed` (by id) each filter lets through. */
const filters: Record<string, { filter: Filter[]; passes: string[] }> = {
  exact: { filter: [{ exact: { type: 'shop.paid' } }], passes: ['shop.paid'] },
  prefix: { filter: [{ prefix: { type: 'shop.' } }], passes: ['shop.paid', 'shop.placed'] },
  suffix: { filter: [{ suffix: { type: '.placed' } }], passes: ['mail.placed', 'shop.placed'] },
  all: {
    filter: [{ all: [{ prefix: { type: 'shop.' } }, { suffix: { type: '.placed' } }] }],
    passes: ['shop.placed'],
  },
  any: {
    filter: [{ any: [{ exact: { type: 'shop.paid' } }, { prefix: { type: 'mail.' } }] }],
    passes: ['mail.placed', 'shop.paid'],
  },
  not: {
    filter: [{ not: { exact: { type: 'shop.placed' } } }, { exact: { region: 'eu' } }],
    passes: ['mail.placed', 'shop.paid'],
  },
  extension: { filter: [{ exact: { region: 'us' } }], passes: ['shop.placed'] },
};
const regions: Record<string, string> = { 'shop.placed': 'us', 'shop.paid': 'eu', 'mail.placed': 'eu' };

const { dataDir, platform } = await platformOfFile();
const seenFile = join(dataDir, 'seen.jsonl');
let brokerUrl: string;

before(async () => {
  brokerUrl = `${platform.addresses.brokerUrl}/${namespace}/default`;
  await apply([
    { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: { name: 'default' } },
    service(),
    ...Object.entries(filters).map(([name, { filter }]) => trigger(`filter-${name}`, filter, `/filter/${name}`)),
    trigger('pings', [{ exact: { type: 'dev.knative.sources.ping' } }], '/pings'),
    trigger('fails', [{ exact: { type: 'doomed' } }], '/fails', {
      retry: 1,
      backoffPolicy: 'linear',
      backoffDelay: 'PT0.1S',
      deadLetterSink: appAt('/dead'),
    }),
    trigger('replies', [{ exact: { type: 'question' } }], '/replies'),
    trigger('answers', [{ exact: { type: 'answer' } }], '/answers'),
    trigger('traced', [{ exact: { type: 'traced' } }], '/traced'),
  ]);
  await eventually(
    'all ready',
    async () => {
      const found = await platform.client.get(ServiceKind, { namespace, name: 'app' });
      const { items } = await platform.client.list(TriggerKind, { namespace });
      return (isReady(found) && items.every(isReady)) || undefined;
    },
    60_000,
  );
});

/** The app at a path, as a subscriber or a sink. */
function appAt(path: string) {
  return { ref: { apiVersion: 'serving.knative.dev/v1', kind: 'Service', name: 'app' }, uri: path };
}

function trigger(name: string, wanted: Filter[], path: string, delivery?: object) {
  return {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name },
    spec: { broker: 'default', filters: wanted, subscriber: appAt(path), ...(delivery ? { delivery } : {}) },
  };
}

function service() {
  const env = [
    { name: 'SEEN', value: seenFile },
    { name: 'BROKER', value: brokerUrl },
  ];
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'app' },
    spec: {
      build: { source: { files: { 'server.mjs': app, 'package.json': '{"main": "server.mjs"}' } } },
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/min-scale': '1' } },
        spec: { containers: [{ image: 'build://output', env }] },
      },
    },
  };
}

async function apply(objects: object[]): Promise<void> {
  const file = join(dataDir, 'objects.yaml');
  writeFileSync(file, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  const applied = await kittiwake(dataDir, 'apply', '-f', file);
  assert.equal(applied.code, 0, applied.stderr);
}

async function send(headers: Record<string, string>, body?: string): Promise<void> {
  const reply = await fetch(brokerUrl, { method: 'POST', headers, ...(body === undefined ? {} : { body }) });
  assert.equal(reply.status, 202);
}

function seen(path: string): Seen[] {
  if (!existsSync(seenFile)) return [];
  const lines = readFileSync(seenFile, 'utf8').split('\n').slice(0, -1);
  return lines.map((line): Seen => JSON.parse(line)).filter((request) => request.path === path);
}

const idsAt = (path: string) => seen(path).map(({ headers }) => headers['ce-id'] ?? '');
const firstAt = (path: string) => eventually(`a request to ${path}`, async () => seen(path)[0]);

test('each filter chooses the events that it says', async () => {
  for (const [type, region] of Object.entries(regions)) await send(ce(type, type, { 'ce-region': region }));
  for (const [name, { passes }] of Object.entries(filters)) {
    await eventually(`the events of ${name}`, async () => {
      const ids = new Set(idsAt(`/filter/${name}`));
      return passes.every((id) => ids.has(id)) || undefined;
    });
  }
});

test('a PingSource with a schedule by the second fires through the broker to its trigger', async () => {
  const source = {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'PingSource',
    metadata: { name: 'tick' },
    spec: {
      schedule: '* * * * * *',
      contentType: 'application/json',
      data: '{"tick": true}',
      sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default' } },
    },
  };
  await apply([source]);
  const pings = await eventually('three pings', async () => {
    const found = seen('/pings');
    return found.length >= 3 ? found : undefined;
  });
  assert.equal(new Set(idsAt('/pings')).size, idsAt('/pings').length, 'each has an id of its own');
  for (const { headers, body } of pings) {
    assert.deepEqual(JSON.parse(body), { tick: true });
    assert.equal(headers['ce-source'], `/apis/v1/namespaces/${namespace}/pingsources/tick`);
    assert.equal(headers['content-type'], 'application/json');
  }
  await platform.client.delete(PingSourceKind, { namespace, name: 'tick' });
  const gone = (object: KubeObject | undefined) => (object === undefined ? true : undefined);
  await eventually('the source gone', async () =>
    gone(await platform.client.get(PingSourceKind, { namespace, name: 'tick' })),
  );
});

test('an event whose subscriber always fails goes to the dead letter sink, which learns why', async () => {
  await send(ce('doomed', 'doomed-1', { 'content-type': 'text/plain' }), 'precious');
  const { headers, body } = await firstAt('/dead');
  assert.equal(headers['ce-id'], 'doomed-1');
  assert.equal(headers['ce-type'], 'doomed');
  assert.equal(body, 'precious');
  assert.equal(headers['ce-knativeerrorcode'], '500');
  assert.equal(headers['ce-knativeerrordest'], 'http://app.default.svc.cluster.local/fails');
  assert.equal(Buffer.from(headers['ce-knativeerrordata'] ?? '', 'base64').toString(), 'no thanks');
  assert.equal(idsAt('/fails').length, 2, 'once, and one retry');
});

test('a reply goes back to the broker and on to its own triggers', async () => {
  await send(ce('question', 'question-1'));
  const { headers, body } = await firstAt('/answers');
  assert.equal(headers['ce-id'], 'answer-1');
  assert.equal(headers['ce-source'], '/app');
  assert.equal(body, 'hello back');
});

test('a trace goes on from a request at the gateway through an event to its subscriber', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const spanId = '00f067aa0ba902b7';
  const reply = await fetchThroughGateway(platform, 'app', '/emits', {
    headers: { traceparent: `00-${traceId}-${spanId}-01` },
  });
  assert.equal(reply.status, 202);
  const atApp = seen('/emits')[0]?.headers.traceparent ?? '';
  const atSubscriber = (await firstAt('/traced')).headers.traceparent ?? '';
  for (const traceparent of [atApp, atSubscriber])
    assert.match(traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  assert.notEqual(atSubscriber, atApp, 'the broker adds a span of its own');
});

test('nothing came to a trigger but what its filter lets through', () => {
  for (const [name, { passes }] of Object.entries(filters)) {
    assert.deepEqual([...new Set(idsAt(`/filter/${name}`))].sort(), passes, name);
  }
});
