import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { systemClock } from '../lib/clock.ts';
import { until } from '../lib/testing/until.ts';
import { silentLogger } from '../observe/log.ts';
import { followConfiguration } from './configuration.ts';

const map = (namespace: string, name: string, data: Record<string, string>): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name },
  data,
});

test('configuration is what the ConfigMaps of some namespaces say, as they come, change and go', async (t) => {
  const world = await openWorld({ kinds: [], namespaces: ['system', 'other'] });
  t.after(() => world.stop());
  const { client } = world;
  const first = await client.create(ConfigMapKind, map('system', 'a', { key: 'one' }));
  await client.create(ConfigMapKind, map('other', 'a', { key: 'not ours' }));
  const { current, stop } = await followConfiguration(client, ['system', 'system'], {
    clock: systemClock,
    log: silentLogger,
  });
  t.after(stop);
  const before = current();
  assert.equal(before['system/a']?.key, 'one');
  assert.equal(before['other/a'], undefined);
  await client.update(ConfigMapKind, { ...first, data: { key: 'two' } });
  await until(() => current()['system/a']?.key === 'two');
  assert.equal(before['system/a']?.key, 'one', 'who was given it keeps what it was');
  await client.create(ConfigMapKind, { ...map('system', 'b', {}), data: undefined } as unknown as ConfigMap);
  await until(() => current()['system/b']);
  await client.delete(ConfigMapKind, { namespace: 'system', name: 'a' });
  await until(() => current()['system/a'] === undefined);
  assert.deepEqual(current()['system/b'], {});
});
