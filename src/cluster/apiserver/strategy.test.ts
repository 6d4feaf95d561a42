import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import type { KubeObject } from '../../api/meta.ts';
import { ApiError } from '../../api/status.ts';
import { httpClient } from '../../kube/http/index.ts';
import { type Kettle, KettleKind, kettles } from './testing/kettles.ts';
import { askingFor, openApi } from './testing/open-api.ts';

const version = '/apis/kitchen.example.dev/v1';
const collection = `${version}/namespaces/default/kettles`;

/** An API server that serves Kettles, and its administrator. */
async function kitchen(t: TestContext) {
  const { api, dataDir } = await openApi(t, { resources: [kettles] });
  const { kubeconfigPath, url } = await api.listen({ port: 0 });
  const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
  const agent = new Agent({ ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key'), keepAlive: true });
  t.after(() => agent.destroy());
  const open = (method: string, path: string, body?: object, accept = 'application/json'): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const sent = request(url + path, { method, agent, headers: { 'content-type': type, accept } }, resolve);
      sent.on('error', reject);
      sent.end(body && JSON.stringify(body));
    });
  const ask = async (method: string, path: string, body?: object, accept?: string): Promise<Answer> => {
    const response = await open(method, path, body, accept);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { code: response.statusCode ?? 0, json: JSON.parse(Buffer.concat(chunks).toString()) };
  };
  /** Asks for another protocol, sends `first` at once, and resolves with what comes until it has been answered. */
  const dial = async (method: string, path: string, first = '', as: object = agent.options) => {
    const { hostname: host, port } = new URL(url);
    const socket = connect({ host, port: Number(port), ca: read('ca.crt'), ...as });
    t.after(() => socket.destroy());
    socket.setEncoding('utf8');
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: whistle\r\n\r\n${first}`);
    const reader = socket[Symbol.asyncIterator]();
    const until = async (isAll: (text: string) => boolean) => {
      let text = '';
      while (!isAll(text)) {
        const { value, done } = await reader.next();
        if (done) break;
        text += value;
      }
      return text;
    };
    const head = await until((text) => first !== '' && text.endsWith(first.toUpperCase()));
    const say = async (text: string) => {
      socket.write(text);
      return await until((answer) => answer.length >= text.length);
    };
    return { head, say };
  };
  await ask('POST', collection, { metadata: { name: 'k' }, spec: { litres: 2 }, status: { degrees: 99 } });
  return { api, ask, dial, open, remote: httpClient({ kubeconfigPath }) };
}

interface Discovered {
  metadata: { name: string };
  versions: { resources: { subresources: { subresource: string; responseKind: object; verbs: string[] }[] }[] }[];
}

interface Answer {
  code: number;
  json: Record<string, unknown> & Partial<Kettle> & { items?: object[] };
}

describe('a resource that a strategy in one file makes', () => {
  test('begins as the strategy says, whatever was sent, and keeps what cannot change', async (t) => {
    const { ask } = await kitchen(t);
    const { code, json } = await ask('GET', `${collection}/k`);
    assert.equal(code, 200);
    assert.deepEqual(json.spec, { litres: 2, serial: 'made-for-kubernetes-admin' });
    assert.deepEqual(json.status, { degrees: 20 });
    const other = await ask('PATCH', `${collection}/k`, { spec: { litres: 3, serial: 'forged' } });
    assert.deepEqual(other.json.spec, { litres: 3, serial: 'made-for-kubernetes-admin' });
    const chosen = await ask('GET', `${collection}?fieldSelector=spec.serial%3Dmade-for-kubernetes-admin`);
    assert.equal(chosen.json.items?.length, 1);
  });

  test('is discovered with its subresources and their verbs, in the old form and the new', async (t) => {
    const { ask } = await kitchen(t);
    const { json } = await ask('GET', version);
    const verbs = ['get', 'patch', 'update'];
    const stored = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
    const own = { singularName: '', namespaced: true, kind: 'Kettle' };
    assert.deepEqual(json.resources, [
      { ...own, name: 'kettles', singularName: 'kettle', verbs: stored },
      { ...own, name: 'kettles/status', verbs },
      { ...own, name: 'kettles/boil', kind: 'Boil', verbs: ['create'] },
      { ...own, name: 'kettles/whistle', verbs: ['get'] },
      { ...own, name: 'kettles/steam', verbs: ['get'] },
    ]);
    const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    const all = await ask('GET', '/apis', undefined, aggregated);
    const group = (all.json.items as Discovered[]).find((item) => item.metadata.name === 'kitchen.example.dev');
    const { responseKind, ...boil } = group?.versions[0]?.resources[0]?.subresources[1] ?? {};
    assert.deepEqual(boil, { subresource: 'boil', verbs: ['create'] });
    assert.deepEqual(responseKind, { group: 'kitchen.example.dev', version: 'v1', kind: 'Boil' });
  });

  test('is described by OpenAPI with the paths and the objects of its subresources', async (t) => {
    const { ask } = await kitchen(t);
    const { json } = await ask('GET', `/openapi/v3${version}`);
    const paths = json.paths as Record<string, Record<string, { 'x-kubernetes-action': string }>>;
    const named = `${version}/namespaces/{namespace}/kettles/{name}`;
    const shown = Object.entries(paths).map(([path, { parameters: _, ...methods }]) => [
      path.replace(named, ''),
      ...Object.entries(methods).map(([method, { 'x-kubernetes-action': action }]) => `${method}:${action}`),
    ]);
    assert.deepEqual(shown.slice(1), [
      ['', 'get:get', 'put:put', 'patch:patch', 'delete:delete'],
      ['/status', 'get:get', 'put:put', 'patch:patch'],
      ['/boil', 'post:post'],
      ['/whistle', 'get:connect'],
      ['/steam', 'get:connect'],
    ]);
    const { schemas } = json.components as { schemas: Record<string, object> };
    assert.ok(schemas['io.k8s.api.kitchen.example.dev.v1.Boil']);
  });

  test('does what a subresource does, over HTTP and from within, and refuses what is malformed', async (t) => {
    const { api, ask, remote } = await kitchen(t);
    const boiled = await ask('POST', `${collection}/k/boil`, { spec: { degrees: 100 } });
    assert.deepEqual([boiled.code, boiled.json.kind, boiled.json.status], [201, 'Boil', { isHot: true }]);
    assert.deepEqual((await api.client.get(KettleKind, key))?.status, { degrees: 100 });
    const boil = { ...askingFor(api, KettleKind, 'create', 'k'), subresource: 'boil' };
    const { stored } = await api.pipeline.create(boil, { spec: { degrees: 40 } }, {});
    assert.deepEqual((stored.object as Kettle & { status: unknown }).status, { isHot: false });
    const boilIt = {
      apiVersion: 'kitchen.example.dev/v1',
      kind: 'Boil',
      metadata: { name: 'k' },
      spec: { degrees: 45 },
    };
    for (const client of [api.client, remote]) {
      const answer: KubeObject & { status?: unknown } = await client.createOn(KettleKind, key, 'boil', boilIt);
      assert.deepEqual([answer.kind, answer.status], ['Boil', { isHot: false }]);
      await assert.rejects(client.createOn(KettleKind, { ...key, name: 'absent' }, 'boil', boilIt), { code: 404 });
      await assert.rejects(client.createOn(KettleKind, key, 'status', boilIt), { code: 405 });
      await assert.rejects(client.createOn(KettleKind, key, 'eviction', boilIt), { code: 404 });
    }
    assert.equal((await ask('POST', `${collection}/k/boil`, {})).code, 400);
    assert.equal((await ask('POST', `${collection}/absent/boil`, { spec: { degrees: 1 } })).code, 404);
  });

  test('streams for as long as its client listens', async (t) => {
    const { open } = await kitchen(t);
    const response = await open('GET', `${collection}/k/steam`);
    assert.equal(response.statusCode, 200);
    let steam = '';
    for await (const chunk of response) {
      steam += chunk;
      if (steam.length > 10) break; // Which ends the request.
    }
    assert.match(steam, /^~+$/);
  });

  test('goes on in another protocol on the connection, behind the same door', async (t) => {
    const { dial } = await kitchen(t);
    const path = `${collection}/k/whistle`;
    const whistled = await dial('GET', `${path}?tune=high`, 'tea for');
    assert.match(whistled.head, /^HTTP\/1\.1 101 [\s\S]*kubernetes-admin TEA FOR$/);
    assert.equal(await whistled.say(' two'), ' TWO');
    assert.equal(await whistled.say('burst').catch(() => ''), '', 'it ends, and nothing that is no whistle is said');
    const refusals: [code: number, method: string, path: string][] = [
      [400, 'GET', path],
      [405, 'POST', `${path}?tune=high`],
      [404, 'GET', `${collection}/k/absent`],
      [501, 'GET', `${collection}/k/steam`],
      [501, 'GET', `${collection}/k`],
    ];
    for (const [code, method, to] of refusals) {
      assert.match((await dial(method, to)).head, new RegExp(`^HTTP/1\\.1 ${code} [\\s\\S]*"code":${code}`), to);
    }
    assert.match((await dial('GET', `${path}?tune=high`, '', {})).head, /^HTTP\/1\.1 401 /);
  });

  const refused: [method: string, path: string, code: number][] = [
    ['GET', `${collection}/k/boil`, 405],
    ['PUT', `${collection}/k/boil`, 405],
    ['POST', `${collection}/k/steam`, 405],
    ['DELETE', `${collection}/k/steam`, 405],
    ['POST', `${collection}/k/status`, 405],
    ['DELETE', `${collection}/k/status`, 405],
    ['POST', `${collection}/k`, 405],
    ['GET', `${collection}/k/scale`, 404],
    ['GET', `${collection}/k/toString`, 404],
    ['GET', `${version}/kettles/k/steam`, 404],
  ];
  test('is not asked for what it does not offer', async (t) => {
    const { api, ask } = await kitchen(t);
    for (const [method, path, code] of refused) {
      assert.equal(
        (await ask(method, path, ['GET', 'DELETE'].includes(method) ? undefined : {})).code,
        code,
        `${method} ${path}`,
      );
    }
    for (const [verb, subresource, code] of [
      ['get', 'boil', 405],
      ['get', 'steam', 405],
      ['get', 'scale', 404],
    ] as const) {
      const asked = api.pipeline.get({ ...askingFor(api, KettleKind, verb, 'k'), subresource });
      await assert.rejects(asked, (error) => error instanceof ApiError && error.code === code, subresource);
    }
    const deletion = api.pipeline.delete({ ...askingFor(api, KettleKind, 'delete', 'k'), subresource: 'status' }, {});
    await assert.rejects(deletion, (error) => error instanceof ApiError && error.code === 405);
    assert.ok(await api.client.get(KettleKind, key), 'it is still there');
  });

  test('ends as the strategy says: not at all, after its grace, when nothing of its own keeps it', async (t) => {
    const { api, ask } = await kitchen(t);
    await ask('POST', collection, { metadata: { name: 'heirloom' }, spec: {} });
    assert.equal((await ask('DELETE', `${collection}/heirloom`)).code, 403);
    const dying = await ask('DELETE', `${collection}/k`);
    assert.equal(dying.json.metadata?.deletionGracePeriodSeconds, 2);
    await ask('POST', `${collection}/k/boil`, { spec: { degrees: 100 } });
    await ask('DELETE', `${collection}/k?gracePeriodSeconds=0`);
    await ask('POST', `${collection}/k/boil`, { spec: { degrees: 90 } });
    assert.ok(await api.client.get(KettleKind, key), 'it is hot');
    await ask('POST', `${collection}/k/boil`, { spec: { degrees: 30 } });
    assert.equal(await api.client.get(KettleKind, key), undefined);
  });
});

const key = { namespace: 'default', name: 'k' };
