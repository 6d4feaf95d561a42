import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { ensurePki } from '../../cluster/apiserver/http/pki/pki.ts';
import { systemClock } from '../../lib/clock.ts';
import { httpClient } from './http-client.ts';
import { inCluster, ownNamespace } from './in-cluster.ts';

test('in a pod the account that is mounted is used, and its token again when it was replaced', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-pod-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const { ca, server: identity } = ensurePki(join(dir, 'pki'), systemClock);
  const answers: string[] = [];
  let valid = 'first';
  const server = createServer(identity, (request, response) => {
    const isKnown = request.headers.authorization === `Bearer ${valid}`;
    answers.push(`${request.method} ${isKnown ? 200 : 401}`);
    const metadata = { name: 'a', namespace: 'n', resourceVersion: '1' };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
    const status = { kind: 'Status', status: 'Failure', reason: 'Unauthorized', code: 401 };
    response.writeHead(isKnown ? 200 : 401).end(JSON.stringify(isKnown ? object : status));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  const { port } = server.address() as AddressInfo;

  writeFileSync(join(dir, 'token'), 'first\n');
  writeFileSync(join(dir, 'ca.crt'), ca);
  writeFileSync(join(dir, 'namespace'), 'n');
  const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
  const client = httpClient(() => inCluster({ environment, dir }));
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'n' } };
  await client.create(ConfigMapKind, object);
  writeFileSync(join(dir, 'token'), 'second');
  valid = 'second';
  await client.create(ConfigMapKind, object);
  await client.get(ConfigMapKind, { namespace: 'n', name: 'a' });
  assert.deepEqual(answers, ['POST 200', 'POST 401', 'POST 200', 'GET 200']);

  valid = 'nobody has it';
  await assert.rejects(client.create(ConfigMapKind, object), { code: 401 });
  assert.equal(await ownNamespace({ dir }), 'n');
  await assert.rejects(inCluster({ environment: {}, dir }), /this is no pod/);
  const host = { ...environment, KUBERNETES_SERVICE_HOST: 'fd00::1' };
  assert.equal((await inCluster({ environment: host, dir })).server, `https://[fd00::1]:${port}`);
});
