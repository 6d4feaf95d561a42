import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWorld } from '../../test/world.ts';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { EventKind } from '../api/core/event.ts';
import type { Kind } from '../api/kind.ts';
import { afterwards } from '../lib/testing/afterwards.ts';
import { recordEvent, type Said } from './events.ts';

test('an Event that several say at once is one, with their number, and says which object it is about', async (t) => {
  const world = await openWorld({ kinds: [] });
  afterwards(t, () => world.stop());
  const { client } = world;
  const metadata = { name: 'a', namespace: 'default', uid: 'uid-of-a' };
  const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata };
  const said: Said = { type: 'Normal', reason: 'Seen', message: 'm'.repeat(2000), source: { component: 'test' } };
  const record = (one: Said) => recordEvent(client, ConfigMapKind as Kind, object, one, 1_700_000_000_000);
  await Promise.all([said, said, said, said].map(record));
  await record({ ...said, source: { component: 'other', host: 'h' } });
  const { items } = await client.list(EventKind, { namespace: 'default' });
  assert.deepEqual(items.map((event) => [event.source?.component, event.reportingInstance, event.count]).sort(), [
    ['other', 'h', 1],
    ['test', undefined, 4],
  ]);
  for (const event of items) {
    assert.deepEqual(event.involvedObject, { apiVersion: 'v1', kind: 'ConfigMap', ...metadata });
    assert.equal(event.message, 'm'.repeat(1024));
    assert.equal(event.lastTimestamp, '2023-11-14T22:13:20Z');
  }
});
