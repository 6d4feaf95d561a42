import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { ApiError, type Status } from '../../api/status.ts';
import { authenticatedGroup, serviceAccount } from '../../api/user.ts';
import {
  type Attributes,
  allowAuthenticated,
  authorize,
  type PathAttributes,
  type Policy,
  type ResourceAttributes,
} from './authorize.ts';
import { openApi, WidgetKind, widget } from './testing/open-api.ts';

const no: Policy = () => ({ isAllowed: false, reason: '' });
const ada = { name: 'ada', groups: ['sailors', authenticatedGroup] };

/** A server whose policy can be changed, and what it is asked about. */
async function openGuarded(t: TestContext) {
  const guard = { policy: allowAuthenticated as Policy, asked: [] as Attributes[] };
  const policy: Policy = (request) => {
    guard.asked.push(request);
    return guard.policy(request);
  };
  const { api, dataDir } = await openApi(t, { policy });
  await api.client.create(ConfigMapKind, configMap('there'));
  await api.client.create(WidgetKind, widget('there'));
  return { api, dataDir, guard };
}

const configMap = (name: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
});
const there = { namespace: 'default', name: 'there' };

/** What was asked, without who. */
const shortly = (request: Attributes): string => {
  if ('path' in request) return `${request.verb} ${request.path}`;
  const { verb, resource, subresource, namespace = '', name = '' } = request;
  const { group, plural } = resource.kind;
  return `${verb} ${group}/${plural}${subresource ? `/${subresource}` : ''} ${namespace}/${name}`;
};

test('a refusal is told in Kubernetes’ words', () => {
  const said = (request: Omit<ResourceAttributes, 'user'> | Omit<PathAttributes, 'user'>) => {
    try {
      authorize(no, { user: ada, ...request });
      return undefined;
    } catch (error) {
      assert.ok(error instanceof ApiError);
      return error.toStatus();
    }
  };
  const pods = { kind: { group: '', version: 'v1', plural: 'pods' } };
  const services = { kind: { group: 'serving.knative.dev', version: 'v1', plural: 'services' } };
  const namespaces = { kind: { group: '', version: 'v1', plural: 'namespaces' }, strategy: { isNamespace: true } };
  const status = said({ verb: 'get', resource: pods, namespace: 'default', name: 'x' });
  assert.deepEqual(status, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'pods "x" is forbidden: User "ada" cannot get resource "pods" in API group "" in the namespace "default"',
    reason: 'Forbidden',
    details: { name: 'x', kind: 'pods' },
    code: 403,
  });
  for (const [request, message] of [
    [
      { verb: 'list', resource: services },
      'services.serving.knative.dev is forbidden: User "ada" cannot list resource "services" in API group ' +
        '"serving.knative.dev" at the cluster scope',
    ],
    [
      { verb: 'create', resource: pods, subresource: 'exec', namespace: 'a', name: 'x' },
      'pods "x" is forbidden: User "ada" cannot create resource "pods/exec" in API group "" in the namespace "a"',
    ],
    [
      { verb: 'get', resource: namespaces, name: 'a' },
      'namespaces "a" is forbidden: User "ada" cannot get resource "namespaces" in API group "" in the namespace "a"',
    ],
    [{ verb: 'get', path: '/apis' }, 'forbidden: User "ada" cannot get path "/apis"'],
  ] as const) {
    assert.equal(said(request)?.message, message);
  }
  const because: Policy = () => ({ isAllowed: false, reason: 'the harbour is closed' });
  assert.throws(
    () => authorize(because, { user: ada, verb: 'get', path: '/apis' }),
    /"\/apis": the harbour is closed$/,
  );
});

test('unless another policy is given, all who have shown who they are may do everything', () => {
  const may = (groups: string[], path: string) =>
    allowAuthenticated({ user: { name: 'x', groups }, verb: 'get', path }).isAllowed;
  assert.equal(may([authenticatedGroup], '/apis'), true);
  assert.equal(may(['system:unauthenticated'], '/apis'), false);
  for (const path of ['/healthz', '/livez/ping', '/readyz', '/version']) assert.equal(may([], path), true, path);
  for (const path of ['/versions', '/healthzz', '/a/healthz']) assert.equal(may([], path), false, path);
});

describe('a policy that says no', () => {
  test('is asked for every operation of a client in this process, and refuses it', async (t) => {
    const { api, guard } = await openGuarded(t);
    const client = api.clientFor(ada);
    const { signal } = new AbortController();
    const firstOf = async () => {
      for await (const event of client.watch(WidgetKind, { signal, namespace: 'default' })) return event;
      return undefined;
    };
    const operations: [asked: string, operation: () => Promise<unknown>][] = [
      ['get test.kittiwake.dev/widgets default/there', () => client.get(WidgetKind, there)],
      ['get test.kittiwake.dev/widgets default/absent', () => client.get(WidgetKind, { ...there, name: 'absent' })],
      ['list test.kittiwake.dev/widgets /', () => client.list(WidgetKind)],
      ['watch test.kittiwake.dev/widgets default/', firstOf],
      ['create test.kittiwake.dev/widgets default/', () => client.create(WidgetKind, widget('a'))],
      ['update test.kittiwake.dev/widgets default/there', () => client.update(WidgetKind, widget('there'))],
      [
        'update test.kittiwake.dev/widgets/status default/there',
        () => client.update(WidgetKind, widget('there'), 'status'),
      ],
      [
        'patch test.kittiwake.dev/widgets default/there',
        () => client.patch(WidgetKind, there, { type: 'merge', patch: {} }),
      ],
      ['patch test.kittiwake.dev/widgets/scale default/there', () => client.scale(WidgetKind as never, there, 2)],
      ['delete test.kittiwake.dev/widgets default/there', () => client.delete(WidgetKind as never, there)],
    ];
    const before = api.pipeline.resourceVersion;
    guard.policy = no;
    for (const [asked, operation] of operations) {
      guard.asked = [];
      await assert.rejects(operation(), { code: 403, reason: 'Forbidden' }, asked);
      assert.deepEqual(guard.asked.map(shortly), [asked]);
      assert.equal(guard.asked[0]?.user, ada);
    }
    assert.equal(api.pipeline.resourceVersion, before);
  });

  test('is asked once for every request over HTTP, whatever it is about, and refuses it', async (t) => {
    const { api, dataDir, guard } = await openGuarded(t);
    const { url } = await api.listen({ port: 0 });
    const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
    const credentials = { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') };
    const session = connectHttp2(url, credentials);
    t.after(() => session.close());
    const ask = (method: string, path: string) =>
      new Promise<{ code: number; status: Partial<Status> }>((resolve, reject) => {
        const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json' });
        let [code, text] = [0, ''];
        stream.on('response', (head) => (code = Number(head[':status'])));
        stream.on('data', (chunk) => (text += chunk));
        stream.on('end', () => resolve({ code, status: text === '' ? {} : JSON.parse(text) }));
        stream.on('error', reject);
        stream.end();
      });
    const maps = '/api/v1/namespaces/default/configmaps';
    const pod = '/api/v1/namespaces/default/pods/x';
    const requests: [method: string, path: string, asked: string][] = [
      ['GET', `${maps}/there`, 'get /configmaps default/there'],
      ['HEAD', `${maps}/there`, 'get /configmaps default/there'],
      ['GET', maps, 'list /configmaps default/'],
      ['GET', '/api/v1/configmaps', 'list /configmaps /'],
      ['GET', `${maps}?watch=1`, 'watch /configmaps default/'],
      ['GET', '/api/v1/watch/configmaps', 'watch /configmaps /'],
      ['GET', `${maps}/there?watch=1`, 'watch /configmaps default/there'],
      ['POST', maps, 'create /configmaps default/'],
      ['POST', `${maps}/there`, 'post /configmaps default/there'],
      ['PUT', `${maps}/there`, 'update /configmaps default/there'],
      ['PATCH', `${maps}/there`, 'patch /configmaps default/there'],
      ['DELETE', `${maps}/there`, 'delete /configmaps default/there'],
      ['DELETE', maps, 'deletecollection /configmaps default/'],
      ['GET', '/api/v1/namespaces/default', 'get /namespaces /default'],
      ['PUT', '/api/v1/namespaces/default/finalize', 'update /namespaces/finalize /default'],
      ['PATCH', `${pod}/status`, 'patch /pods/status default/x'],
      ['GET', `${pod}/log`, 'get /pods/log default/x'],
      ['POST', `${pod}/exec`, 'create /pods/exec default/x'],
      ['GET', `${pod}/portforward`, 'get /pods/portforward default/x'],
      ['POST', `${pod}/nonsense`, 'create /pods/nonsense default/x'],
      ['GET', '/apis/apps/v1/namespaces/a/deployments/x/scale', 'get apps/deployments/scale a/x'],
      ['GET', '/apis/nobody.example.com/v1/things', 'list nobody.example.com/things /'],
      [
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        'create authorization.k8s.io/selfsubjectaccessreviews /',
      ],
      ...['/', '/api', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3', '/version', '/healthz', '/nowhere'].map(
        (path): [string, string, string] => ['GET', path, `get ${path}`],
      ),
      ['POST', '/apis', 'post /apis'],
    ];
    guard.policy = no;
    for (const [method, path, asked] of requests) {
      guard.asked = [];
      const { code, status } = await ask(method, path);
      assert.equal(code, 403, `${method} ${path}`);
      if (method !== 'HEAD') assert.match(status.message ?? '', /forbidden: User "kubernetes-admin" cannot /);
      assert.deepEqual(guard.asked.map(shortly), [asked]);
      const groups = ['system:masters', authenticatedGroup];
      assert.deepEqual(guard.asked[0]?.user, { name: 'kubernetes-admin', groups });
    }

    const upgrade = async (certificate: object, more = '') => {
      const port = Number(new URL(url).port);
      const socket = connectTls({ port, host: '127.0.0.1', ALPNProtocols: ['http/1.1'], ...certificate });
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      const head = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n';
      socket.write(`POST ${pod}/exec?command=sh HTTP/1.1\r\n${head}${more}\r\n`);
      let text = '';
      for await (const chunk of socket) text += chunk;
      return text;
    };
    guard.asked = [];
    assert.match(
      await upgrade(credentials),
      /^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*cannot create resource \\"pods\/exec\\"/,
    );
    assert.deepEqual(guard.asked.map(shortly), ['create /pods/exec default/x']);
    assert.match(await upgrade({ ca: credentials.ca }), /^HTTP\/1\.1 401 Unauthorized\r\n/);
    guard.policy = allowAuthenticated;
    assert.match(await upgrade(credentials, 'Impersonate-User: bob\r\n'), /^HTTP\/1\.1 403 [\s\S]*cannot impersonate/);
    assert.match(await upgrade(credentials), /^HTTP\/1\.1 404 Not Found\r\n/);
  });

  test('is asked once for a watch, however much it shows', async (t) => {
    const { api, guard } = await openGuarded(t);
    const client = api.clientFor(ada);
    guard.asked = [];
    const abort = new AbortController();
    const seen: string[] = [];
    for await (const event of client.watch(WidgetKind, { signal: abort.signal })) {
      if (event.type === 'BOOKMARK' && event.isInitialEnd) {
        guard.policy = ({ user }) => ({ isAllowed: user !== ada, reason: '' });
        await api.client.create(WidgetKind, widget('later'));
      }
      if (event.type === 'ADDED') seen.push(event.object.metadata.name);
      if (seen.length === 2) abort.abort();
    }
    assert.deepEqual(seen, ['there', 'later']);
    assert.equal(guard.asked.filter(({ user }) => user === ada).length, 1);
  });

  test('answers the reviews of who may do what', async (t) => {
    const { api, dataDir, guard } = await openGuarded(t);
    const { url } = await api.listen({ port: 0 });
    const read = (name: string) => readFileSync(join(dataDir, 'pki', name));
    const session = connectHttp2(url, { ca: read('ca.crt'), cert: read('admin.crt'), key: read('admin.key') });
    t.after(() => session.close());
    const review = (plural: string, spec: object) =>
      new Promise<{ allowed?: boolean; incomplete?: boolean }>((resolve, reject) => {
        const path = `/apis/authorization.k8s.io/v1/${plural}`;
        const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' });
        let text = '';
        stream.on('data', (chunk) => (text += chunk));
        stream.on('end', () => resolve(JSON.parse(text).status));
        stream.on('error', reject);
        stream.end(JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind: 'X', spec }));
      });
    guard.policy = (request) => {
      const isRead = ['get', 'create'].includes(request.verb);
      return { isAllowed: isRead && request.user.name !== 'eve', reason: '' };
    };
    const pods = (verb: unknown) => ({ resourceAttributes: { verb, resource: 'pods', namespace: 'a' } });
    assert.equal((await review('selfsubjectaccessreviews', pods('get'))).allowed, true);
    assert.equal((await review('selfsubjectaccessreviews', pods('delete'))).allowed, false);
    assert.equal((await review('selfsubjectaccessreviews', pods(['get']))).allowed, false);
    assert.equal((await review('subjectaccessreviews', { user: 'eve', groups: 7, ...pods('get') })).allowed, false);
    const path = { nonResourceAttributes: { verb: 'get', path: '/apis' } };
    assert.equal((await review('subjectaccessreviews', { user: 'bob', ...path })).allowed, true);
    assert.equal((await review('selfsubjectrulesreviews', {})).incomplete, true);
    guard.policy = allowAuthenticated;
    assert.equal((await review('selfsubjectrulesreviews', {})).incomplete, false);
  });
});

test('a ServiceAccount is named as Kubernetes names it', () => {
  assert.deepEqual(serviceAccount('knative-serving', 'controller'), {
    name: 'system:serviceaccount:knative-serving:controller',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:knative-serving', 'system:authenticated'],
  });
});
