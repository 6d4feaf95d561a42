import { join } from 'node:path';
import { readKnown } from '../../src/eventing/broker/known.ts';
import { owedIn } from './event-log.ts';
import { testPromises } from './suite.ts';

const work = 'default/work';
const collect = 'default/collect';

testPromises(
  {
    name: 'broker',
    workload: new URL('workloads/broker.ts', import.meta.url),
    async inspect(folder) {
      readKnown(join(folder, 'broker', 'known.json'));
      const log = await owedIn(join(folder, 'broker', 'logs'), [work, collect]);
      // An event is owed for as long as it is to be worked on, or its reply is to be collected.
      const states = new Map<string, string>();
      for (const key of log.states.keys()) {
        const [, id] = /^default.work: (\d.*)$/.exec(key) ?? /^default.collect: reply to (.*)$/.exec(key) ?? [];
        if (id !== undefined) states.set(id, 'owed');
      }
      return { states, broken: log.broken };
    },
  },
  {
    disks: 100,
  },
);
