import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../../api/core/config-map.ts';
import { isAlreadyExists, isConflict } from '../../api/status.ts';

const key = { namespace: 'default', name: 'contested' };
const configMap = (name: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'default', name },
  data: {},
});

describe('a write that is refused for the sake of one that is not on disk yet', () => {
  let world: World;
  before(async () => {
    world = await openWorld();
  });
  after(() => world.stop());

  test('is told so when the other can be read', async () => {
    const { client } = world;
    const old = await client.create(ConfigMapKind, configMap(key.name));
    const winning = client.update(ConfigMapKind, { ...old, data: { winner: 'first' } });
    await assert.rejects(client.update(ConfigMapKind, { ...old, data: { winner: 'second' } }), isConflict);
    assert.deepEqual((await client.get(ConfigMapKind, key))?.data, { winner: 'first' });
    await winning;
  });

  test('also when it would make what exists in a moment', async () => {
    const { client } = world;
    const making = client.create(ConfigMapKind, configMap('twice'));
    await assert.rejects(client.create(ConfigMapKind, configMap('twice')), isAlreadyExists);
    assert.ok(await client.get(ConfigMapKind, { ...key, name: 'twice' }));
    await making;
  });

  test('and who tries again at once, for ever, lets the event loop turn', async () => {
    const { client } = world;
    const old = await client.create(ConfigMapKind, configMap('spinning'));
    let hasTurned = false;
    setTimeout(() => {
      hasTurned = true;
    }, 0);
    let attempts = 0;
    for (; !hasTurned && attempts < 10_000; attempts++) {
      const outdated = { ...old, metadata: { ...old.metadata, resourceVersion: '1' } };
      await assert.rejects(client.update(ConfigMapKind, outdated), isConflict);
    }
    assert.ok(hasTurned, `${attempts} refusals in one turn`);
  });
});
