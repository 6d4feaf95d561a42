import { join } from 'node:path';
import { sqliteBackend } from '../../src/eventing/backends/sqlite/sqlite-backend.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { integrity } from './integrity.ts';
import type { Found } from './ledger.ts';

/** What the log of `default/b` in the folder owes to each consumer, as `CONSUMER: ID`. */
export async function owedIn(dir: string, consumers: readonly string[]): Promise<Found> {
  const onFailure = (error: unknown) => {
    throw error;
  };
  const found: Found = { states: new Map(), floors: new Map(), broken: [] };
  const backend = sqliteBackend({ dir, clock: systemClock });
  const log = await backend.open({ namespace: 'default', name: 'b' }, { log: silentLogger, onFailure });
  found.floors?.set('offset', log.end);
  for (const consumer of consumers) {
    const cursor = await log.cursor(consumer);
    for (let from = cursor.position; from < log.end; ) {
      const events = await log.read(from, 1000);
      if (events.length === 0) found.broken.push(`the log ends at ${log.end}, but nothing is there from ${from} on`);
      if (events.length === 0) break;
      for (const { offset, event } of events) {
        const id = String(event.attributes.id);
        if (offset !== from) found.broken.push(`after offset ${from - 1} comes ${offset}`);
        if (event.data?.toString().replaceAll(id, '')) found.broken.push(`${id} is made of several events`);
        if (!cursor.isDone(offset)) found.states.set(`${consumer}: ${id}`, 'owed');
        from = offset + 1;
      }
    }
  }
  await log.close();
  found.broken.push(...integrity(join(dir, 'default', 'b.db')));
  return found;
}
