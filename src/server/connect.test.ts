import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigMapKind } from '../api/core/config-map.ts';
import { openApi } from '../cluster/apiserver/testing/open-api.ts';
import { loopback } from '../observe/listen.ts';
import { silentLogger } from '../observe/log.ts';
import { portsBy } from './config.ts';
import { connectToApi } from './connect.ts';
import { bindSocket } from './lent-sockets.ts';

test('a role asks the API server of its own platform, whatever an earlier start has left in the folder', async (t) => {
  const original = await openApi(t);
  const copy = await openApi(t);
  const metadata = { namespace: 'default', name: 'where' };
  for (const [name, { api }] of Object.entries({ original, copy })) {
    await api.client.create(ConfigMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { name } });
  }
  await original.api.listen({ port: 0 });
  cpSync(join(original.dataDir, 'pki'), join(copy.dataDir, 'pki'), { recursive: true });
  // As the supervisor does: clients wait in the socket until the control plane has started.
  const socket = bindSocket(0, 'API server', '--api-port');
  t.after(() => socket.close());
  const config = { dataDir: copy.dataDir, bindAddress: loopback, ports: portsBy(() => socket.port) };
  const client = await connectToApi(config, 'gateway', silentLogger);
  const found = client.get(ConfigMapKind, metadata);
  await new Promise((resolve) => setImmediate(resolve));
  await copy.api.listen({ port: socket.port, handle: socket.handle });
  assert.equal((await found)?.data?.name, 'copy');
});

test('a role waits for its first credentials, and takes new ones when the old are refused', async (t) => {
  const { api, dataDir } = await openApi(t);
  const socket = bindSocket(0, 'API server', '--api-port');
  t.after(() => socket.close());
  const config = { dataDir, bindAddress: loopback, ports: portsBy(() => socket.port) };
  const connecting = connectToApi(config, 'broker', silentLogger);
  const file = join(dataDir, 'pki', 'broker.kubeconfig');
  assert.ok(!existsSync(file));
  await api.listen({ port: socket.port, handle: socket.handle });
  const client = await connecting;
  assert.ok(await client.list(ConfigMapKind));

  const other = await openApi(t);
  await other.api.listen({ port: 0 });
  const own = readFileSync(file);
  cpSync(join(other.dataDir, 'pki', 'broker.kubeconfig'), file);
  const stranger = await connectToApi(config, 'broker', silentLogger);
  await assert.rejects(stranger.list(ConfigMapKind), { code: 'API_UNREACHABLE' });
  writeFileSync(file, own);
  assert.ok(await stranger.list(ConfigMapKind));
});
