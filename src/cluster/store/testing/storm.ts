/** A child of the durability test: writes without end, and prints each write once it is acknowledged, until killed. */
import { writeSync } from 'node:fs';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { Store } from '../store.ts';

const store = await Store.open({ file: process.argv[2] ?? '', clock: systemClock, log: silentLogger });
const table = store.table('/configmaps');

/** At once, not when the event loop likes; a parent that is slow to read makes the pipe full for a moment. */
async function say(line: string): Promise<void> {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function writer(w: number): Promise<never> {
  for (let i = 0; ; i++) {
    const name = `w${w}-${i % 20}`;
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { i: String(i) } };
    if (i % 7 === 6 && table.get(name)) {
      const { revision, durable } = store.remove(table, name);
      await durable;
      await say(`${name} ${revision} gone\n`);
    } else {
      const { stored, durable } = store.put(table, name, object);
      await durable;
      await say(`${name} ${stored.revision} ${i}\n`);
    }
  }
}
await Promise.all(Array.from({ length: 8 }, (_, w) => writer(w)));
