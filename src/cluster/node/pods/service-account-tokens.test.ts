import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import type { ApiServer } from '../../apiserver/index.ts';
import { openApi } from '../../apiserver/testing/open-api.ts';
import { ConfigSources, type ReadObject } from './config-sources.ts';
import { PodTokens } from './service-account-tokens.ts';
import { writeVolume } from './volumes/pod-volumes.ts';

async function podIn({ client }: ApiServer): Promise<Pod> {
  const metadata = { namespace: 'default', name: 'robot' };
  await client.create(ServiceAccountKind, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  return client.create(PodKind, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'default', name: 'p' },
    spec: { serviceAccountName: 'robot', containers: [{ name: 'c', image: 'i' }] },
  });
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

test('a token is bound to the pod, kept, and renewed when four fifths of its life are over', async (t) => {
  const { api, clock } = await openApi(t);
  const pod = await podIn(api);
  const tokens = new PodTokens(api.client, clock);
  const wanted = { path: 'token', expirationSeconds: 1000, audience: 'vault' };
  const first = await tokens.token(pod, wanted);
  const { aud, exp, iat, 'kubernetes.io': facts } = claimsOf(first);
  assert.deepEqual([aud, exp - iat], [['vault'], 1000]);
  assert.deepEqual(facts.pod, { name: 'p', uid: pod.metadata.uid });
  assert.notEqual(await tokens.token(pod, { path: 'other' }), first);
  await clock.advance(700_000);
  assert.equal(await tokens.token(pod, wanted), first);
  await clock.advance(100_000);
  const second = await tokens.token(pod, wanted);
  assert.notEqual(second, first);
  assert.ok((tokens.renewAtMs ?? 0) > clock.now());
});

test('a token that cannot be renewed is used as long as it is good', async (t) => {
  const { api, clock } = await openApi(t);
  const pod = await podIn(api);
  const tokens = new PodTokens(api.client, clock);
  const first = await tokens.token(pod, { path: 'token', expirationSeconds: 1000 });
  await api.client.delete(ServiceAccountKind, { namespace: 'default', name: 'robot' });
  await clock.advance(900_000);
  assert.equal(await tokens.token(pod, { path: 'token', expirationSeconds: 1000 }), first);
  await clock.advance(100_000);
  await assert.rejects(tokens.token(pod, { path: 'token', expirationSeconds: 1000 }), { code: 404 });
});

test('the file of a token is for those alone whom the pod runs as, where it says so', async (t) => {
  const { api, clock } = await openApi(t);
  const pod = await podIn(api);
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-token-volume-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const modeFor = async (name: string, securityContext: Pod['spec']['securityContext']) => {
    const volume = { name, projected: { sources: [{ serviceAccountToken: { path: 'a/token' } }] } };
    const read: ReadObject = (kind, key) => api.client.get(kind, key);
    const sources = new ConfigSources(read, 'default');
    await writeVolume(volume, dir, {
      pod: { ...pod, spec: { ...pod.spec, ...(securityContext && { securityContext }) } },
      place: { host: { address: '', cpus: 1, memoryBytes: 1 }, pod: { ips: ['10.0.0.2'], ports: {} } },
      sources,
      read,
      tokens: new PodTokens(api.client, clock),
      nowMs: clock.now(),
    });
    const file = join(dir, name, 'a', 'token');
    assert.match(readFileSync(file, 'utf8'), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    return statSync(file).mode & 0o777;
  };
  assert.equal(await modeFor('open', undefined), 0o644);
  assert.equal(await modeFor('private', { runAsUser: process.getuid?.() ?? 0 }), 0o600);
});
