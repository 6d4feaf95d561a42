import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventKind } from '../../../api/core/event.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { configMap, open } from '../../store/testing/scripted-writer.ts';
import type { Machinery } from '../machinery.ts';
import type { Pipeline } from '../resources.ts';
import { tableName } from '../served-resource.ts';
import { events } from './events.ts';

/** The limit beside a store of `names`, and which Events it asks to be deleted. */
async function limited(names: string[], remove: (name: string) => Promise<void>) {
  const { store, writer } = await open();
  const clock = new VirtualClock();
  const table = store.table(tableName(EventKind));
  const put = async (name: string) => {
    const event = configMap(name);
    event.metadata.creationTimestamp = new Date(clock.now()).toISOString();
    store.put(table, `default/${name}`, event);
    await writer.commitAll();
  };
  for (const name of names) await put(name);
  const asked: string[] = [];
  const machinery = { store, clock, log: silentLogger, registry: { find: () => ({}) } } as unknown as Machinery;
  const pipeline = {
    delete(request: { name: string }) {
      asked.push(request.name);
      return remove(request.name);
    },
  } as unknown as Pipeline;
  const limit = events.upkeep?.(machinery, pipeline);
  assert.ok(limit);
  return { clock, asked, put, stop: () => limit.stop() };
}

test('an old Event that could not be deleted is deleted with a later sweep', async () => {
  let isBusy = true;
  const { clock, asked, stop } = await limited(['a', 'b'], async (name) => {
    if (isBusy && name === 'a') throw new Error('busy');
  });
  await clock.advance(3_660_000);
  assert.deepEqual(asked, ['a', 'b']);
  isBusy = false;
  await clock.advance(60_000);
  assert.deepEqual(asked, ['a', 'b', 'a']);
  await clock.advance(120_000);
  assert.deepEqual(asked, ['a', 'b', 'a']);
  await stop();
});

test('an Event that could not be deleted and is written again is new again', async () => {
  const { clock, asked, put, stop } = await limited(['a'], async () => {
    throw new Error('busy');
  });
  await clock.advance(3_660_000);
  await put('a');
  await clock.advance(120_000);
  assert.deepEqual(asked, ['a']);
  await stop();
});
