import assert from 'node:assert/strict';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { silentLogger } from '../../observe/log.ts';
import { openApiServer } from './index.ts';
import { openApi } from './testing/open-api.ts';

test('a store that is missing is told of, and no new one takes its place', async (t) => {
  const { api, dataDir, clock } = await openApi(t);
  const key = { namespace: 'default', name: 'a' };
  await api.client.create(ConfigMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata: key });
  await api.stop();
  const file = join(dataDir, 'cluster/store.db');
  const open = () => openApiServer({ dataDir, clock, log: silentLogger, kinds: [] });
  renameSync(file, `${file}.away`);
  await assert.rejects(open(), /store\.db could not be read or written: it is missing: put it back/);
  await assert.rejects(open(), /it is missing/);
  renameSync(`${file}.away`, file);
  const again = await open();
  t.after(() => again.stop());
  assert.ok(await again.client.get(ConfigMapKind, key));
});

test('a start that ended before it had a store is no obstacle to the next', async (t) => {
  const { api, dataDir, clock } = await openApi(t);
  await api.stop();
  const other = join(dataDir, 'other');
  mkdirSync(join(other, 'cluster'), { recursive: true });
  const fresh = await openApiServer({ dataDir: other, clock, log: silentLogger, kinds: [] });
  await fresh.stop();
});
