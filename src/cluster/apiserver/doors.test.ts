/** Whatever goes wrong with one request, one watch or one object is a failure of that one alone. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { CustomResourceDefinitionKind } from '../../api/apiextensions/custom-resource-definition.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/meta.ts';
import type { Status } from '../../api/status.ts';
import type { Admission } from '../../kube/admission.ts';
import { type Logger, silentLogger } from '../../observe/log.ts';
import type { ServedEvent } from './resources.ts';
import { GadgetKind, gadget, gadgetDefinition } from './testing/gadgets.ts';
import { asking, openApi, WidgetKind, widget } from './testing/open-api.ts';

const kind = WidgetKind as unknown as Kind;

/** What was logged as an error. */
function errorLog(): { log: Logger; errors: string[] } {
  const errors: string[] = [];
  const log: Logger = { ...silentLogger, error: (_, message) => errors.push(message), child: () => log };
  return { log, errors };
}

describe('a failure of one watch, object or request', () => {
  test('a watch that throws over an object ends with an InternalError; the others go on', async (t) => {
    const { log, errors } = errorLog();
    const { api } = await openApi(t, { log });
    const { resource, user } = asking(api, kind, 'watch');
    let isBroken = false;
    const broken: Kind = {
      ...kind,
      get version(): string {
        if (isBroken) throw new Error('a conversion that throws');
        return kind.version;
      },
    };
    const { signal } = new AbortController();
    const from = { user, verb: 'watch' as const, resourceVersion: api.pipeline.resourceVersion, signal };
    const bad = api.pipeline.watch({ ...from, resource: { ...resource, kind: broken } })[Symbol.asyncIterator]();
    const good = api.pipeline.watch({ ...from, resource })[Symbol.asyncIterator]();
    isBroken = true;
    await api.client.create(WidgetKind, widget('a'));
    const [last] = ((await bad.next()).value ?? []) as ServedEvent[];
    assert.equal(last?.type, 'ERROR');
    const status = last?.object as Status | undefined;
    assert.equal(status?.code, 500);
    assert.equal(status?.reason, 'InternalError');
    assert.equal((await bad.next()).done, true);
    assert.deepEqual(errors, ['a watch failed over an event']);

    await api.client.create(WidgetKind, widget('b'));
    const seen: string[] = [];
    while (seen.length < 2) {
      for (const { object } of (await good.next()).value as ServedEvent[])
        seen.push((object as KubeObject).metadata.name);
    }
    assert.deepEqual(seen, ['a', 'b']);
    await good.return?.();
  });

  test('a field that a selector names and that cannot be made text is compared as its JSON', async (t) => {
    const { api } = await openApi(t);
    const { client } = api;
    const definition = gadgetDefinition();
    const [version] = definition.spec.versions;
    assert.ok(version);
    version.schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    version.selectableFields = [{ jsonPath: '.spec.size' }];
    await client.create(CustomResourceDefinitionKind, definition);
    const hostile = { ...gadget('a'), spec: { size: { toString: 1, valueOf: null } } } as unknown as KubeObject;
    await client.create(GadgetKind as unknown as Kind, hostile);
    const { items } = await client.list(GadgetKind, { fieldSelector: 'spec.size=1' });
    assert.deepEqual(items, []);
  });

  test('a plugin, a default or a rule that throws is an InternalError of that request, and is logged', async (t) => {
    const throwing = () => {
      throw new TypeError('cannot read properties of undefined');
    };
    const admission: Admission = { name: 'broken', kinds: [kind], mutate: throwing };
    const { log, errors } = errorLog();
    const { api, dataDir } = await openApi(t, { admission: () => [admission], log });
    const { url } = await api.listen({ port: 0 });
    const h2 = connectHttp2(url, credentials(dataDir));
    t.after(() => h2.close());
    const answer = await post(h2, `/apis/${kind.group}/${kind.version}/namespaces/default/widgets`, widget('a'));
    assert.equal(answer.code, 500);
    assert.equal(JSON.parse(answer.body).reason, 'InternalError');
    assert.deepEqual(errors, ['request failed']);
  });

  test('a client that breaks off, at any moment and in any protocol, harms nobody', async (t) => {
    const { log, errors } = errorLog();
    const { api, dataDir } = await openApi(t, { log });
    const { url } = await api.listen({ port: 0 });
    const port = Number(new URL(url).port);
    for (let i = 0; i < 20; i++) {
      const socket = connectTcp(port, '127.0.0.1').on('error', () => {});
      const upgrade = connectTls({ socket, host: '127.0.0.1', ...credentials(dataDir), ALPNProtocols: ['http/1.1'] });
      upgrade.on('error', () => {});
      await new Promise((resolve) => upgrade.once('secureConnect', resolve));
      const head = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n';
      upgrade.write(`GET /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\n${head}`);
      upgrade.write('more', () => socket.resetAndDestroy());
      await new Promise((resolve) => socket.once('close', resolve));
      const session = connectHttp2(url, credentials(dataDir)).on('error', () => {});
      const stream = session.request({ ':path': '/api/v1/pods' }).on('error', () => {});
      await new Promise((resolve) => session.once('connect', resolve));
      stream.close(8);
      const second = session.request({ ':path': '/api/v1/namespaces/default/configmaps', ':method': 'POST' });
      second.on('error', () => {}).write('{');
      await new Promise((resolve) => setImmediate(resolve));
      session.destroy();
      const raw = connectTcp(port, '127.0.0.1').on('error', () => {});
      await new Promise((resolve) => raw.once('connect', resolve));
      raw.write('\x16\x03\x01\x02', () => raw.resetAndDestroy());
      await new Promise((resolve) => raw.once('close', resolve));
    }
    const h2 = connectHttp2(url, credentials(dataDir));
    t.after(() => h2.close());
    assert.equal((await get(h2, '/api/v1/namespaces')).code, 200);
    assert.deepEqual(errors, []);
  });
});

function credentials(dataDir: string) {
  const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
  return { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
}

type Session = ReturnType<typeof connectHttp2>;

const get = (session: Session, path: string) => ask(session, { ':path': path }, undefined);
const post = (session: Session, path: string, body: object) => ask(session, { ':path': path, ':method': 'POST' }, body);

function ask(session: Session, headers: Record<string, string>, body: object | undefined) {
  return new Promise<{ code: number; body: string }>((resolve, reject) => {
    const stream = session.request({ 'content-type': 'application/json', ...headers });
    let code = 0;
    let text = '';
    stream.on('response', (head) => (code = Number(head[':status'])));
    stream.on('data', (chunk) => (text += chunk));
    stream.on('end', () => resolve({ code, body: text }));
    stream.on('error', reject);
    stream.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
