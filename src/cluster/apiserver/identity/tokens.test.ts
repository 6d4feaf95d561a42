import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TokenRequest } from '../../../api/authentication/token-request.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { type ServiceAccount, ServiceAccountKind } from '../../../api/core/service-account.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { ApiError } from '../../../api/status.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { type ApiServer, openApiServer } from '../index.ts';
import { openApi } from '../testing/open-api.ts';
import { signJwt, verifyJwt } from './jwt.ts';
import { issuer } from './service-account-tokens.ts';
import { ensureSigningKey } from './signing-key.ts';

const accountKind = ServiceAccountKind as unknown as Kind;

const account = (name: string): ServiceAccount => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { namespace: 'default', name },
});

const podOf = (serviceAccountName: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name: 'p' },
  spec: { serviceAccountName, nodeName: 'node-1', containers: [{ name: 'c', image: 'i' }] },
});

async function tokenFor(api: ApiServer, name: string, spec: TokenRequest['spec'] = {}): Promise<TokenRequest> {
  const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec };
  const key = { namespace: 'default', name };
  return (await api.client.createOn(accountKind, key, 'token', asked as unknown as KubeObject)) as TokenRequest;
}

/** What a TokenReview says of the token. */
async function review(api: ApiServer, token: string | undefined, audiences?: string[]) {
  const resource = api.pipeline.resources.find('authentication.k8s.io', 'v1', 'tokenreviews');
  assert.ok(resource);
  const user = { name: 'test', groups: [] };
  const body = { spec: { token, ...(audiences && { audiences }) } };
  const { stored } = await api.pipeline.create({ user, verb: 'create', resource }, body, {});
  return (stored.object as unknown as { status: Review }).status;
}

interface Review {
  authenticated: boolean;
  user: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  audiences?: string[];
  error?: string;
}

const claimsOf = (token = ''): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

test('a token says of whom it is what Kubernetes says, and is reviewed so', async (t) => {
  const { api, clock } = await openApi(t);
  const { metadata } = await api.client.create(ServiceAccountKind, account('robot'));
  const answer = await tokenFor(api, 'robot', { expirationSeconds: 600 });
  const { token, expirationTimestamp } = answer.status ?? {};
  assert.equal(expirationTimestamp, new Date(clock.now() + 600_000).toISOString().replace('.000', ''));
  assert.deepEqual(answer.spec, { audiences: [issuer], expirationSeconds: 600, boundObjectRef: null });
  const { jti, ...claims } = claimsOf(token);
  const now = Math.floor(clock.now() / 1000);
  assert.deepEqual(claims, {
    aud: [issuer],
    exp: now + 600,
    iat: now,
    iss: issuer,
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'robot', uid: metadata.uid } },
    nbf: now,
    sub: 'system:serviceaccount:default:robot',
  });
  assert.deepEqual(await review(api, token), {
    authenticated: true,
    user: {
      username: 'system:serviceaccount:default:robot',
      uid: metadata.uid,
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${jti}`] },
    },
    audiences: [issuer],
  });
});

test('a token ends with its time', async (t) => {
  const { api, clock } = await openApi(t);
  await api.client.create(ServiceAccountKind, account('robot'));
  const { token } = (await tokenFor(api, 'robot', { expirationSeconds: 600 })).status ?? {};
  await clock.advance(600_000 + 60_000);
  assert.equal((await review(api, token)).authenticated, true, 'clocks differ by up to a minute');
  await clock.advance(1_000);
  const { authenticated, error } = await review(api, token);
  assert.deepEqual([authenticated, error], [false, 'service account token has expired']);
});

test('a token is for those alone for whom it was asked', async (t) => {
  const { api } = await openApi(t);
  await api.client.create(ServiceAccountKind, account('robot'));
  const { token } = (await tokenFor(api, 'robot', { audiences: ['vault', 'db'] })).status ?? {};
  const refused = await review(api, token);
  assert.deepEqual(
    [refused.authenticated, refused.error],
    [false, `token audiences ["vault" "db"] is invalid for the target audiences ["${issuer}"]`],
  );
  assert.deepEqual((await review(api, token, ['db', 'other'])).audiences, ['db']);
});

test('a token ends with its account, also when another of the name comes after it', async (t) => {
  const { api } = await openApi(t);
  await api.client.create(ServiceAccountKind, account('robot'));
  const { token } = (await tokenFor(api, 'robot')).status ?? {};
  const key = { namespace: 'default', name: 'robot' };
  await api.client.delete(ServiceAccountKind, key);
  assert.equal((await review(api, token)).error, 'serviceaccounts "robot" not found');
  await api.client.create(ServiceAccountKind, account('robot'));
  assert.match((await review(api, token)).error ?? '', /^service account UID \(.+\) does not match claim \(.+\)$/);
});

test('a token that is bound to a pod names it and its node, and ends with it', async (t) => {
  const { api } = await openApi(t);
  await api.client.create(ServiceAccountKind, account('robot'));
  const pod = await api.client.create(PodKind, podOf('robot'));
  const { uid = '' } = pod.metadata;
  const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid };
  const { token } = (await tokenFor(api, 'robot', { boundObjectRef })).status ?? {};
  const { user } = await review(api, token);
  const { 'authentication.kubernetes.io/credential-id': _, ...extra } = user.extra ?? {};
  assert.deepEqual(extra, {
    'authentication.kubernetes.io/node-name': ['node-1'],
    'authentication.kubernetes.io/pod-name': ['p'],
    'authentication.kubernetes.io/pod-uid': [uid],
  });
  await api.client.delete(PodKind, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 });
  assert.equal((await review(api, token)).error, 'service account token has been invalidated');
  await api.client.create(PodKind, podOf('robot'));
  assert.match((await review(api, token)).error ?? '', /^pod UID \(.+\) does not match service account pod ref claim/);
});

test('what cannot be asked for is refused in the words of Kubernetes', async (t) => {
  const { api } = await openApi(t);
  await api.client.create(ServiceAccountKind, account('robot'));
  await api.client.create(PodKind, podOf('other'));
  const pod = { apiVersion: 'v1', kind: 'Pod', name: 'p' };
  const table: [TokenRequest['spec'], number, RegExp][] = [
    [{ expirationSeconds: 599 }, 422, /spec.expirationSeconds: Invalid value: 599: may not specify a duration less/],
    [{ expirationSeconds: 2 ** 32 + 1 }, 422, /may not specify a duration larger than 2\^32 seconds/],
    [{ expirationSeconds: 'long' as unknown as number }, 422, /spec.expirationSeconds/],
    [{ boundObjectRef: pod }, 400, /^cannot bind token for serviceaccount "robot" to pod running with different/],
    [{ boundObjectRef: { ...pod, name: 'q' } }, 404, /^pods "q" not found$/],
    [{ boundObjectRef: { ...pod, uid: 'x' } }, 409, /the UID in the bound object reference \(x\) does not match/],
    [
      { boundObjectRef: { ...pod, kind: 'ConfigMap' } },
      400,
      /^cannot bind token to object of type v1, Kind=ConfigMap$/,
    ],
  ];
  for (const [spec, code, message] of table) {
    await assert.rejects(tokenFor(api, 'robot', spec), (error) => {
      assert.ok(error instanceof ApiError);
      assert.match(error.message, message);
      assert.equal(error.code, code, error.message);
      return true;
    });
  }
  await assert.rejects(tokenFor(api, 'nobody'), { code: 404 });
  await assert.rejects(review(api, ''), { code: 400 });
});

test('what the key has not signed is no token, whatever it says', async (t) => {
  const { api, clock, dataDir } = await openApi(t);
  const { metadata } = await api.client.create(ServiceAccountKind, account('robot'));
  const { token = '' } = (await tokenFor(api, 'robot')).status ?? {};
  const [header = '', payload = '', signature = ''] = token.split('.');
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const mine = ensureSigningKey(join(mkdtempFor(t), 'my.key'));
  const kid = ensureSigningKey(join(dataDir, 'pki', 'service-accounts.key')).id;
  const forged = [
    '',
    'x',
    '..',
    `${header}.${payload}`,
    `${header}.${payload}.`,
    `${header}.${part({ ...claimsOf(token), sub: 'system:admin' })}.${signature}`,
    `${part({ alg: 'none', kid })}.${payload}.`,
    `${part({ alg: 'none', kid })}.${payload}.${signature}`,
    `${part({ alg: 'HS256', kid })}.${payload}.${signature}`,
    `${part({ alg: 'ES256', kid, crit: ['b64'], b64: false })}.${payload}.${signature}`,
    `${token}.x`,
    signJwt(mine, claimsOf(token)),
    signJwt({ ...mine, id: kid }, { ...claimsOf(token), exp: clock.now() }),
    'x'.repeat(100_000),
  ];
  for (const text of forged.filter((each) => each !== '')) {
    assert.deepEqual(await review(api, text), { authenticated: false, user: {}, error: 'invalid bearer token' }, text);
  }
  assert.ok(metadata.uid && (await review(api, token)).authenticated);
});

test('a key lasts, and only its owner can read it', (t) => {
  const file = join(mkdtempFor(t), 'pki', 'key');
  const key = ensureSigningKey(file);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  chmodSync(file, 0o644);
  assert.equal(ensureSigningKey(file).id, key.id);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.deepEqual(verifyJwt(ensureSigningKey(file), signJwt(key, { a: 1 })), { a: 1 });
  for (const text of ['', 'not a key', readFileSync(file, 'utf8').slice(0, 80)]) {
    writeFileSync(file, text);
    assert.throws(() => ensureSigningKey(file), /^Error: the key in .*key cannot be used: .*remove the file/);
  }
});

function mkdtempFor(t: { after(end: () => void): void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-token-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

describe('a bearer of a token', () => {
  let dir: string;
  let api: ApiServer;
  let url: string;
  let agent: Agent;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-bearer-'));
    api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
    ({ url } = await api.listen({ port: 0 }));
    agent = new Agent({ ca: readFileSync(join(dir, 'pki', 'ca.crt')) });
    await api.client.create(ServiceAccountKind, account('robot'));
  });
  after(async () => {
    agent.destroy();
    await api.stop();
    rmSync(dir, { recursive: true });
  });

  const ask = (path: string, authorization: string | undefined, method = 'GET', body?: object) =>
    new Promise<{ code: number; type: string; text: string }>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', ...(authorization && { authorization }) };
      const sent = request(`${url}${path}`, { agent, headers, method }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        const { headers: given, statusCode: code = 0 } = response;
        response.on('end', () => resolve({ code, type: given['content-type'] ?? '', text }));
      });
      sent.on('error', reject).end(body && JSON.stringify(body));
    });

  test('is the ServiceAccount that it names', async () => {
    const { token } = (await tokenFor(api, 'robot')).status ?? {};
    const self = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    for (const scheme of ['Bearer', 'bearer']) {
      const { code, text } = await ask(self, `${scheme} ${token}`, 'POST', { spec: {} });
      assert.equal(code, 201, text);
      assert.equal(JSON.parse(text).status.userInfo.username, 'system:serviceaccount:default:robot');
    }
    for (const wrong of [undefined, 'Bearer ', `Basic ${token}`, `Bearer ${token}x`, `Bearer ${token} x`]) {
      assert.equal((await ask(self, wrong, 'POST', { spec: {} })).code, 401, wrong);
    }
  });

  test('finds out how others can verify it', async () => {
    const { token } = (await tokenFor(api, 'robot')).status ?? {};
    const { text } = await ask('/.well-known/openid-configuration', `Bearer ${token}`);
    assert.deepEqual(JSON.parse(text), {
      issuer,
      jwks_uri: `${url}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    });
    const keys = await ask('/openid/v1/jwks', `Bearer ${token}`);
    assert.match(keys.type, /^application\/jwk-set\+json/);
    const [jwk] = JSON.parse(keys.text).keys;
    const header = JSON.parse(Buffer.from(`${token}`.split('.')[0] ?? '', 'base64url').toString());
    assert.deepEqual(header, { alg: 'ES256', kid: jwk.kid });
    const publicKey = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, [
      'verify',
    ]);
    const [head, payload, signature = ''] = `${token}`.split('.');
    const ecdsa = { name: 'ECDSA', hash: 'SHA-256' };
    const bytes = Buffer.from(signature, 'base64url');
    assert.ok(await crypto.subtle.verify(ecdsa, publicKey, bytes, Buffer.from(`${head}.${payload}`)));
    assert.equal((await ask('/openid/v1/jwks', undefined)).code, 401);
  });
});
