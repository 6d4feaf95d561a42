import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { ConfigMapKind } from '../../../api/core/config-map.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../index.ts';
import { bytes as definitionBytes } from './body/fixtures/crontab-definition.ts';
import { bodyBytesMax } from './body/read.ts';

describe('the listener', () => {
  let dir: string;
  let api: ApiServer;
  let url: string;
  let agent: Agent;
  let stranger: Agent;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-listener-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
    ({ url } = await api.listen({ port: 0 }));
    const read = (name: string) => readFileSync(join(dir, 'pki', name));
    agent = new Agent({ ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key'), keepAlive: true });
    stranger = new Agent({ ca: read('ca.crt') });
  });
  after(async () => {
    agent.destroy();
    stranger.destroy();
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  interface Reply {
    code: number;
    headers: Record<string, string | string[] | undefined>;
    body: Buffer;
    /** The body, read as JSON. */
    json: Json;
  }
  type Json = Record<string, unknown> & { message?: string; reason?: string; code?: number };

  interface Asked {
    method?: string;
    headers?: Record<string, string>;
    body?: string | Buffer;
    agent?: Agent;
  }

  function ask(path: string, { body, headers = {}, method = 'GET', agent: by = agent }: Asked = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const options: RequestOptions = { method, headers, agent: by };
      const sent = request(`${url}${path}`, options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const whole = Buffer.concat(chunks);
          const { headers, statusCode: code = 0 } = response;
          resolve({
            code,
            headers,
            body: whole,
            get json() {
              return JSON.parse(whole.toString());
            },
          });
        });
      });
      // A server that has answered may stop reading: what it answered is what counts.
      sent.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
      });
      sent.end(body);
    });
  }

  const maps = '/api/v1/namespaces/default/configmaps';
  const map = (name: string, data: Record<string, string> = {}) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
  const post = (body: string | Buffer, type = 'application/json', query = '') =>
    ask(`${maps}${query}`, { method: 'POST', body, headers: { 'content-type': type } });

  test('who has no certificate may ask whether the server lives, and nothing else', async () => {
    for (const path of ['/healthz', '/livez', '/readyz', '/livez/ping', '/version']) {
      assert.equal((await ask(path, { agent: stranger })).code, 200, path);
    }
    const { code, json } = await ask(maps, { agent: stranger });
    assert.equal(code, 401);
    assert.deepEqual([json.kind, json.status, json.reason, json.code], ['Status', 'Failure', 'Unauthorized', 401]);
  });

  test('nobody acts as somebody else: what was to be done with their rights is not done with one’s own', async () => {
    for (const name of ['Impersonate-User', 'Impersonate-Group', 'Impersonate-Uid']) {
      const { code, json } = await ask(maps, { headers: { [name]: 'bob' } });
      assert.equal(code, 403, name);
      assert.match(`${json.message}`, /^forbidden: User "kubernetes-admin" cannot impersonate "bob" \(impersonate-/);
    }
    assert.equal((await ask(maps, { agent: stranger, headers: { 'Impersonate-User': 'bob' } })).code, 401);
  });

  test('every answer has an audit id and the headers that clients look for', async () => {
    const { headers } = await ask(maps);
    assert.match(`${headers['audit-id']}`, /^[0-9a-f-]{36}$/);
    assert.equal(headers['cache-control'], 'no-cache, private');
    assert.ok(headers['x-kubernetes-pf-flowschema-uid']);
    const { headers: own } = await ask(maps, { headers: { 'audit-id': 'mine' } });
    assert.equal(own['audit-id'], 'mine');
  });

  const wrong: [string, () => Promise<Reply>, number, RegExp][] = [
    ['JSON that breaks off', () => post('{"metadata": {'), 400, /line 1, column 15: expected a key/],
    ['JSON with a typing error in its second line', () => post('{"metadata":\n{"name" "x"}}'), 400, /line 2, column 9/],
    ['YAML with a wrong indentation', () => post('a:\n b: 1\n  c: 2\n', 'application/yaml'), 400, /body:3/],
    ['an empty body', () => post(''), 400, /expected a value/],
    ['bytes that are not UTF-8', () => post(Buffer.from([0x7b, 0xff])), 400, /UTF-8/],
    ['a list instead of an object', () => post('[]'), 400, /./],
    ['an unknown content type', () => post('<a/>', 'text/xml'), 415, /unknown format.*text\/xml/],
    ['protobuf without its magic', () => post('hello', 'application/vnd.kubernetes.protobuf'), 400, /k8s/],
    ['a patch of an unknown type', () => ask(`${maps}/a`, { method: 'PATCH', body: '{}' }), 415, /merge-patch\+json/],
    ['a method that is not there', () => ask(maps, { method: 'PUT', body: '{}' }), 405, /does not allow this method/],
    ['an unknown method', () => ask(maps, { method: 'OPTIONS' }), 405, /does not allow this method/],
    ['a resource that is not there', () => ask('/api/v1/namespaces/default/flowers'), 404, /could not find/],
    ['a group that is not there', () => ask('/apis/example.com/v1/flowers'), 404, /could not find/],
    ['a path that is not there', () => ask('/nothing/here'), 404, /could not find/],
    ['an object that is not there', () => ask(`${maps}/absent`), 404, /configmaps "absent" not found/],
    ['a path with a bad escape', () => ask('/api/v1/namespaces/%zz'), 404, /could not find/],
    ['a label selector that cannot be read', () => ask(`${maps}?labelSelector=a%3D%3D%3Db`), 400, /a===b/],
    ['a field that cannot be selected by', () => ask(`${maps}?fieldSelector=data.a%3Db`), 400, /data\.a/],
    ['a limit that is no number', () => ask(`${maps}?limit=ten`), 400, /limit is "ten"/],
    ['a limit below zero', () => ask(`${maps}?limit=-5`), 400, /limit is "-5"/],
    [
      'an unknown field validation',
      () => post(map('x'), 'application/json', '?fieldValidation=Some'),
      400,
      /Some.*Strict/,
    ],
    ['an unknown dry run', () => post(map('x'), 'application/json', '?dryRun=Some'), 400, /dryRun is "Some"/],
    ['an unknown propagation policy', () => ask(`${maps}/x?propagationPolicy=Up`, { method: 'DELETE' }), 422, /"Up"/],
    ['a form of answer that is not there', () => ask(maps, { headers: { accept: 'text/csv' } }), 406, /accepted/],
    ['a subresource that is not there', () => ask(`${maps}/x/token`, { method: 'POST' }), 404, /could not find/],
    [
      'a log that is written to',
      () => ask('/api/v1/namespaces/default/pods/a/log', { method: 'PUT' }),
      405,
      /not allow/,
    ],
    ['exec over HTTP', () => ask('/api/v1/namespaces/default/pods/a/exec'), 400, /Upgrade request required/],
  ];
  for (const [what, asked, code, message] of wrong) {
    test(`${what} is answered with a Status that says so (${code})`, async () => {
      const { code: answered, json } = await asked();
      assert.equal(json.kind, 'Status');
      assert.equal(json.code, answered);
      assert.match(json.message ?? '', message);
      assert.equal(answered, code);
    });
  }

  test('a body over 3 MiB is refused, whether or not it says its length', async () => {
    const large = Buffer.alloc(bodyBytesMax + 1, ' ');
    assert.equal((await post(large)).code, 413);
    const chunked = await ask(maps, { method: 'POST', body: large, headers: { 'transfer-encoding': 'chunked' } });
    assert.equal(chunked.code, 413);
    assert.equal((await ask(maps)).code, 200);
  });

  test('a repeated field is refused when strict, and a warning otherwise', async () => {
    const body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"}}';
    const strict = await post(body, 'application/json', '?fieldValidation=Strict');
    assert.equal(strict.code, 400);
    assert.match(strict.json.message ?? '', /duplicate field "data\.a"/);
    const warned = await post(body);
    assert.equal(warned.code, 201);
    assert.deepEqual(warned.headers.warning, '299 - "duplicate field \\"data.a\\""');
  });

  test('objects are created from JSON or YAML, read as either, deleted with a Status that names the uid', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-yaml\ndata:\n  a: "1"\n';
    assert.equal((await post(yaml, 'application/yaml')).code, 201);
    const read = await ask(`${maps}/from-yaml`, { headers: { accept: 'application/yaml' } });
    assert.match(read.body.toString(), /^apiVersion: v1\n/m);
    const { uid } = (await ask(`${maps}/from-yaml`)).json.metadata as { uid: string };
    const deleted = await ask(`${maps}/from-yaml`, { method: 'DELETE' });
    assert.deepEqual(deleted.json.details, { name: 'from-yaml', kind: 'configmaps', uid });
  });

  test('a list is answered as a table, as metadata, or whole; large ones compressed', async () => {
    await post(map('big', { text: 'x'.repeat(200_000) }));
    const whole = await ask(maps, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(whole.headers['content-encoding'], 'gzip');
    const list = JSON.parse(gunzipSync(whole.body).toString());
    assert.deepEqual([list.kind, list.apiVersion], ['ConfigMapList', 'v1']);
    const shaped = (as: string) => ask(maps, { headers: { accept: `application/json;as=${as};v=v1;g=meta.k8s.io` } });
    const table = (await shaped('Table')).json as { kind?: string; rows?: { object: Json }[] };
    assert.equal(table.kind, 'Table');
    assert.equal(table.rows?.[0]?.object.kind, 'PartialObjectMetadata');
    assert.equal((await shaped('PartialObjectMetadataList')).json.kind, 'PartialObjectMetadataList');
  });

  test('protobuf is answered with JSON, which its clients read', async () => {
    const { headers } = await ask(maps, { headers: { accept: 'application/vnd.kubernetes.protobuf' } });
    assert.equal(headers['content-type'], 'application/json');
  });

  /** Reads a watch up to the line that `isLast` says, then breaks it off. */
  function watchLines(path: string, isLast: (event: Json) => boolean, accept = 'application/json'): Promise<Json[]> {
    return new Promise((resolve, reject) => {
      const sent = request(`${url}${path}`, { agent, headers: { accept } }, (response) => {
        const lines: Json[] = [];
        let rest = '';
        response.on('data', (chunk) => {
          rest += chunk;
          for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
            const event = JSON.parse(rest.slice(0, end));
            rest = rest.slice(end + 1);
            lines.push(event);
            if (isLast(event)) {
              resolve(lines);
              sent.destroy();
              return;
            }
          }
        });
        response.on('end', () => resolve(lines));
        response.on('error', () => resolve(lines));
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  test('a definition in protobuf, as a Go client sends it, defines its kind', async () => {
    const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' };
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const made = await ask(definitions, { method: 'POST', headers, body: definitionBytes });
    assert.equal(made.code, 201, made.json.message);
    while ((await ask('/apis/stable.example.com/v1/crontabs')).code !== 200);
  });

  test('a watch sends what is there, the end of that, and then changes; also by the old path', async () => {
    await post(map('seen'));
    const initial = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const events = await watchLines(`${maps}?watch=1&${initial}`, (event) => event.type === 'BOOKMARK');
    const last = events.at(-1)?.object as { kind: string; metadata: { annotations: object } };
    assert.deepEqual(last.metadata.annotations, { 'k8s.io/initial-events-end': 'true' });
    assert.equal(last.kind, 'ConfigMap');

    const { resourceVersion } = (await ask(maps)).json.metadata as { resourceVersion: string };
    const isLater = (event: Json) => (event.object as { metadata: { name: string } }).metadata.name === 'later';
    const changes = watchLines(
      `/api/v1/watch/namespaces/default/configmaps?resourceVersion=${resourceVersion}`,
      isLater,
    );
    await post(map('later'));
    assert.deepEqual(
      (await changes).map((event) => event.type),
      ['ADDED'],
    );
  });

  test('a watch of tables describes the columns in its first event only', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    await post(map('one'));
    await post(map('two'));
    let count = 0;
    const events = await watchLines(`${maps}?watch=true`, () => ++count === 2, accept);
    const tables = events.map((event) => event.object as { kind: string; columnDefinitions: unknown; rows: unknown[] });
    assert.deepEqual(
      tables.map((t) => [t.kind, t.columnDefinitions !== null, t.rows.length]),
      [
        ['Table', true, 1],
        ['Table', false, 1],
      ],
    );
  });

  test('a watch ends when its time is over', async () => {
    const events = await watchLines(`${maps}?watch=1&timeoutSeconds=1&resourceVersion=999999999`, () => false);
    assert.ok(events.length <= 1);
  });

  test('discovery is answered aggregated or plain, and not again when nothing has changed', async () => {
    const type = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const first = await ask('/apis', { headers: { accept: `${type},application/json` } });
    assert.equal(first.headers['content-type'], type);
    assert.equal(first.json.kind, 'APIGroupDiscoveryList');
    const etag = `${first.headers.etag}`;
    const again = await ask('/apis', { headers: { accept: type, 'if-none-match': etag } });
    assert.equal(again.code, 304);
    assert.equal((await ask('/apis')).json.kind, 'APIGroupList');
    assert.equal((await ask('/api')).json.kind, 'APIVersions');
    const list = (await ask('/api/v1')).json as { resources?: { name: string }[] };
    for (const name of ['pods', 'pods/log', 'pods/status', 'namespaces/finalize']) {
      assert.ok(
        list.resources?.some((resource) => resource.name === name),
        name,
      );
    }
  });

  test('OpenAPI documents are cached for ever under their hash, and an old hash leads to the new one', async () => {
    const index = (await ask('/openapi/v3')).json.paths as Record<string, { serverRelativeURL: string }>;
    const address = index['apis/apps/v1']?.serverRelativeURL ?? '';
    const document = await ask(address);
    assert.equal(document.headers['cache-control'], 'public, immutable');
    const { paths } = document.json as { paths: Record<string, { patch?: { parameters: { name: string }[] } }> };
    const patch = paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.patch;
    assert.ok(patch?.parameters.some((parameter) => parameter.name === 'fieldValidation'));
    const moved = await ask('/openapi/v3/apis/apps/v1?hash=old');
    assert.equal(moved.code, 301);
    assert.equal(moved.headers.location, address);
    const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const v2 = await ask('/openapi/v2', { headers: { accept } });
    assert.equal(v2.headers['content-type'], 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf');
  });

  test('HTTP/2 carries the same API', async () => {
    const read = (name: string) => readFileSync(join(dir, 'pki', name));
    const session = connectHttp2(url, { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') });
    try {
      const stream = session.request({ ':path': maps });
      let text = '';
      for await (const chunk of stream) text += chunk;
      assert.equal(JSON.parse(text).kind, 'ConfigMapList');
    } finally {
      session.destroy();
    }
  });

  test('what is written in the process is seen through the listener', async () => {
    await api.client.create(ConfigMapKind, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'inside', namespace: 'default' },
    });
    assert.equal((await ask(`${maps}/inside`)).code, 200);
  });

  test('a stop ends watches at once', async () => {
    const other = mkdtempSync(join(tmpdir(), 'kittiwake-listener-stop-'));
    const second = await openApiServer({ dataDir: other, clock: systemClock, log: silentLogger, kinds: [] });
    const { url: address } = await second.listen({ port: 0 });
    const read = (name: string) => readFileSync(join(other, 'pki', name));
    const ended = new Promise<void>((resolve) => {
      const options = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
      const sent = request(`${address}${maps}?watch=1`, options, (response) => {
        response.on('close', resolve).resume();
        void second.stop();
      });
      sent.on('error', () => resolve()).end();
    });
    await ended;
    rmSync(other, { recursive: true, force: true });
  });
});
