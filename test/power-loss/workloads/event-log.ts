/**
 * A broker's log alone, at first one of an older version: eight producers, consumers that are done with events in any
 * order, one that comes late, one that is forgotten. An event is owed to each consumer that has its place, until the
 * consumer is done with it.
 */

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { NewEvent } from '../../../src/eventing/backends/event-log.ts';
import type { LogCursor } from '../../../src/eventing/backends/sqlite/log-cursor.ts';
import { sqliteBackend } from '../../../src/eventing/backends/sqlite/sqlite-backend.ts';
import type { SqliteLog } from '../../../src/eventing/backends/sqlite/sqlite-log.ts';
import { writeOldLog } from '../../../src/eventing/backends/sqlite/testing/old-log.ts';
import { appendAll } from '../../../src/eventing/backends/testing/append-all.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { makeFolder, syncFolder } from '../../../src/lib/durable.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { Random } from '../../kit/random.ts';
import { note } from '../notes.ts';
import { killSession, runSessions } from '../sessions.ts';

const dir = join(process.env.POWER_LOSS_ROOT ?? '', 'broker', 'logs');

function open(): Promise<SqliteLog> {
  const onFailure = (error: unknown) => {
    throw error;
  };
  const backend = sqliteBackend({ dir, clock: systemClock });
  return backend.open({ namespace: 'default', name: 'b' }, { log: silentLogger, onFailure });
}

const [seed, session] = process.argv.slice(2);
if (seed === 'open') await (await open()).close();
else if (session !== undefined) await work(Number(session));
else runSessions(3);

async function work(session: number): Promise<void> {
  const random = new Random(Number(seed) + session);
  if (session === 0) leaveOldLog();
  const log = await open();
  const cursors: LogCursor[] = [];
  const join = async (consumer: string) => cursors.push(await log.cursor(consumer));
  for (const consumer of ['default/quick', 'default/slow', session === 0 ? 'forgotten' : 'late']) await join(consumer);
  for (const cursor of cursors) {
    for (let from = cursor.position; from < log.end; ) {
      for (const { offset, event } of await log.read(from, 100)) {
        if (!cursor.isDone(offset)) note({ done: `${cursor.consumer}: ${event.attributes.id}`, value: 'owed' });
        from = offset + 1;
      }
    }
  }
  let serial = session * 1_000_000;

  const append = async () => {
    const ids = Array.from({ length: random.pick([1, 1, 1, 3]) }, () => `${++serial}`);
    const owed = ids.flatMap((id) => cursors.map(({ consumer }) => `${consumer}: ${id}`));
    for (const key of owed) note({ tried: key, value: 'owed' });
    // That a consumer is forgotten may itself be lost.
    if (session > 0) for (const id of ids) note({ tried: `forgotten: ${id}`, value: 'owed' });
    const events = ids.map((id) => eventOf(id, random.pick([0, 1, 50, 2000])));
    const isReply = random.next() < 0.2;
    const offset = await appendAll(log, events, { isReply });
    for (const key of owed) note({ done: key, value: 'owed' });
    note({ floor: 'offset', value: offset + 1 });
  };
  const producer = async () => {
    for (let i = 0; i < 50; i++) await append();
  };
  const consume = async ({ done }: { done: () => boolean }) => {
    while (!done()) {
      for (const cursor of cursors) {
        const events = await log.read(cursor.position, 64);
        for (const { offset, event } of events) {
          if (cursor.isDone(offset) || random.next() < (cursor.consumer === 'default/quick' ? 0.1 : 0.8)) continue;
          note({ tried: `${cursor.consumer}: ${event.attributes.id}`, value: null });
          cursor.done(offset);
        }
      }
      await pause(10);
    }
  };
  let isDone = false;
  const consuming = consume({ done: () => isDone });
  await Promise.all(Array.from({ length: 8 }, producer));
  if (session === 0) {
    const last = Array.from({ length: serial }, (_, i) => `forgotten: ${i + 1}`);
    for (const key of last) note({ tried: key, value: null });
    cursors.splice(
      cursors.findIndex(({ consumer }) => consumer === 'forgotten'),
      1,
    );
    await log.forget('forgotten');
    await join('late');
  }
  const producing = Promise.all(Array.from({ length: 8 }, producer));
  if (session < 2) await killSession(() => serial % 1_000_000 > 700);
  await producing;
  isDone = true;
  await consuming;
  await log.close();
}

/** What an older version has left: one event, which `default/quick` has yet to get. */
function leaveOldLog(): void {
  makeFolder(dir);
  note({ tried: 'default/quick: old', value: 'owed' });
  writeOldLog(join(dir, 'default.b.uid.db'), ['quick/uid', 'slow/uid'], 'old');
  syncFolder(dir);
  note({ done: 'default/quick: old', value: 'owed' });
}

function eventOf(id: string, repeats: number): NewEvent {
  return {
    event: {
      attributes: { specversion: '1.0', id, source: '/power-loss', type: 'test' },
      ...(repeats > 0 && { data: Buffer.from(id.repeat(repeats)) }),
    },
    headers: [],
  };
}
