import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { DeploymentKind } from '../../api/apps/deployment.ts';
import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { NodeKind } from '../../api/core/node.ts';
import { ApiError, notFound } from '../../api/status.ts';
import { KittiwakeError } from '../../lib/errors.ts';
import type { Client, WatchEvent } from '../client.ts';
import { httpClient } from './http-client.ts';

interface Request {
  method: string;
  url: URL;
  contentType: string | undefined;
  authorization: string | undefined;
  body: unknown;
}

/** Runs `use` against a server that answers with `answer`, and returns what was asked of it. */
async function withServer(
  answer: (request: Request, response: ServerResponse) => void,
  use: (client: Client, server: Server) => Promise<void>,
): Promise<Request[]> {
  const requests: Request[] = [];
  const server = createServer(async (incoming: IncomingMessage, response) => {
    let text = '';
    for await (const chunk of incoming) text += String(chunk);
    const request: Request = {
      method: incoming.method ?? '',
      url: new URL(incoming.url ?? '', 'http://server'),
      contentType: incoming.headers['content-type'],
      authorization: incoming.headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    };
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await use(httpClient({ server: `http://127.0.0.1:${port}/`, token: 'secret' }), server);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return requests;
}

const reply = (response: ServerResponse, code: number, body: unknown) =>
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const configMap = (name: string, version = '1'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'n', resourceVersion: version },
});

const line = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;
const bookmark = (version: string, isEnd = true) =>
  line('BOOKMARK', {
    kind: 'ConfigMap',
    apiVersion: 'v1',
    metadata: { resourceVersion: version, ...(isEnd && { annotations: { 'k8s.io/initial-events-end': 'true' } }) },
  });

async function take(count: number, events: AsyncIterable<WatchEvent<ConfigMap>>): Promise<string[]> {
  const taken: string[] = [];
  for await (const event of events) {
    const what =
      event.type === 'BOOKMARK' ? `${event.resourceVersion} ${event.isInitialEnd}` : event.object.metadata.name;
    taken.push(`${event.type} ${what}`);
    if (taken.length === count) break;
  }
  return taken;
}

test("each verb goes where Kubernetes' API has it", async () => {
  const requests = await withServer(
    (_request, response) => reply(response, 200, configMap('a')),
    async (client) => {
      const key = { namespace: 'n', name: 'a' };
      await client.get(ConfigMapKind, key);
      await client.get(NodeKind, { name: 'node' });
      await client.create(ConfigMapKind, configMap('a'));
      await client.update(
        DeploymentKind,
        { ...configMap('d'), spec: { selector: {}, template: { spec: { containers: [] } } } },
        'status',
      );
      await client.patch(ConfigMapKind, key, { type: 'json', operations: [{ op: 'remove', path: '/data' }] });
      await client.patch(ConfigMapKind, key, { type: 'apply', patch: {}, fieldManager: 'me', force: true });
      await client.scale(DeploymentKind, { namespace: 'n', name: 'd' }, 3);
      await client.delete(ConfigMapKind, key, { propagationPolicy: 'Foreground', preconditions: { uid: 'u' } });
    },
  );
  assert.deepEqual(
    requests.map(({ method, url, contentType }) =>
      `${method} ${url.pathname}${url.search} ${contentType ?? ''}`.trim(),
    ),
    [
      'GET /api/v1/namespaces/n/configmaps/a',
      'GET /api/v1/nodes/node',
      'POST /api/v1/namespaces/n/configmaps?fieldManager=kittiwake application/json',
      'PUT /apis/apps/v1/namespaces/n/deployments/d/status?fieldManager=kittiwake application/json',
      'PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=kittiwake application/json-patch+json',
      'PATCH /api/v1/namespaces/n/configmaps/a?fieldManager=me&force=true application/apply-patch+yaml',
      'PATCH /apis/apps/v1/namespaces/n/deployments/d/scale?fieldManager=kittiwake application/merge-patch+json',
      'DELETE /api/v1/namespaces/n/configmaps/a application/json',
    ],
  );
  assert.deepEqual(requests[6]?.body, { spec: { replicas: 3 } });
  assert.deepEqual(requests[7]?.body, {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    propagationPolicy: 'Foreground',
    preconditions: { uid: 'u' },
  });
  assert.ok(requests.every((request) => request.authorization === 'Bearer secret'));
});

test('a list is read page by page, and its items say what they are', async () => {
  const requests = await withServer(
    ({ url }, response) => {
      const isSecond = url.searchParams.get('continue') === 'next';
      const { metadata } = configMap(isSecond ? 'b' : 'a');
      reply(response, 200, {
        metadata: { resourceVersion: '7', continue: isSecond ? '' : 'next' },
        items: [{ metadata }],
      });
    },
    async (client) => {
      const list = await client.list(ConfigMapKind, { namespace: 'n', labelSelector: 'a=b,c in (d)' });
      assert.deepEqual(list, { items: [configMap('a'), configMap('b')], resourceVersion: '7' });
    },
  );
  assert.deepEqual(
    requests.map(({ url }) => url.searchParams.get('labelSelector')),
    ['a=b,c in (d)', 'a=b,c in (d)'],
  );
});

test('an object that is not there is undefined, and deleting it no error; an unknown resource is one', async () => {
  await withServer(
    ({ url }, response) => {
      if (url.pathname.includes('deployments')) response.writeHead(404).end('404 page not found');
      else reply(response, 404, notFound(ConfigMapKind, 'a').toStatus());
    },
    async (client) => {
      const key = { namespace: 'n', name: 'a' };
      assert.equal(await client.get(ConfigMapKind, key), undefined);
      await client.delete(ConfigMapKind, key);
      await assert.rejects(client.get(DeploymentKind, key), { code: 404, message: '404 page not found' });
    },
  );
});

test("the server's own words become the error", async () => {
  const status = new ApiError(409, 'Conflict', 'the object has been modified', { name: 'a' }).toStatus();
  await withServer(
    (_request, response) => reply(response, 409, status),
    async (client) => {
      await assert.rejects(client.update(ConfigMapKind, configMap('a')), {
        name: 'ApiError',
        code: 409,
        reason: 'Conflict',
        message: 'the object has been modified',
        details: { name: 'a' },
      });
    },
  );
});

test('a server that is away is named in the error, and found again when it is back', async () => {
  await withServer(
    (_request, response) => reply(response, 200, configMap('a')),
    async (client, server) => {
      const key = { namespace: 'n', name: 'a' };
      await client.get(ConfigMapKind, key);
      const { port } = server.address() as AddressInfo;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await assert.rejects(client.get(ConfigMapKind, key), (error) => {
        assert.ok(error instanceof KittiwakeError);
        assert.equal(error.code, 'API_UNREACHABLE');
        assert.match(error.message, new RegExp(`127.0.0.1:${port}.*ECONNREFUSED`));
        return true;
      });
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      assert.deepEqual(await client.get(ConfigMapKind, key), configMap('a'));
    },
  );
});

test('a watch streams the list first, wherever the bytes are cut', async () => {
  const bytes = Buffer.from(
    line('ADDED', configMap('übung')) + line('ADDED', configMap('b')) + bookmark('5') + line('DELETED', configMap('b')),
  );
  const requests = await withServer(
    (_request, response) => {
      response.writeHead(200);
      for (let i = 0; i < bytes.length; i += 7) response.write(bytes.subarray(i, i + 7));
    },
    async (client) => {
      const { signal } = new AbortController();
      assert.deepEqual(await take(4, client.watch(ConfigMapKind, { namespace: 'n', signal })), [
        'ADDED übung',
        'ADDED b',
        'BOOKMARK 5 true',
        'DELETED b',
      ]);
    },
  );
  const query = requests[0]?.url.searchParams;
  assert.equal(query?.get('sendInitialEvents'), 'true');
  assert.equal(query?.get('resourceVersionMatch'), 'NotOlderThan');
  assert.equal(query?.get('allowWatchBookmarks'), 'true');
});

test('where the server cannot stream the list, it is listed and then watched', async () => {
  const requests = await withServer(
    ({ url }, response) => {
      const query = url.searchParams;
      if (query.has('sendInitialEvents')) reply(response, 422, new ApiError(422, 'Invalid', 'no').toStatus());
      else if (!query.has('watch'))
        reply(response, 200, { metadata: { resourceVersion: '3' }, items: [configMap('a')] });
      else response.end(line('MODIFIED', configMap('a', '4')) + bookmark('9', false));
    },
    async (client) => {
      const { signal } = new AbortController();
      assert.deepEqual(await take(9, client.watch(ConfigMapKind, { signal })), [
        'ADDED a',
        'BOOKMARK 3 true',
        'MODIFIED a',
        'BOOKMARK 9 false',
      ]);
    },
  );
  assert.equal(requests.at(-1)?.url.searchParams.get('resourceVersion'), '3');
});

test('an ERROR event is thrown; an aborted watch just ends', async () => {
  const gone = new ApiError(410, 'Expired', 'too old resource version: 1 (5)').toStatus();
  await withServer(
    ({ url }, response) => {
      response.writeHead(200);
      response.flushHeaders();
      if (url.searchParams.get('resourceVersion') === '1') response.end(line('ERROR', gone));
    },
    async (client) => {
      const { signal } = new AbortController();
      await assert.rejects(take(1, client.watch(ConfigMapKind, { resourceVersion: '1', signal })), { code: 410 });
      const abort = new AbortController();
      const ended = take(1, client.watch(ConfigMapKind, { resourceVersion: '2', signal: abort.signal }));
      setImmediate(() => abort.abort());
      assert.deepEqual(await ended, []);
    },
  );
});
