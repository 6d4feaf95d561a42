import { join } from 'node:path';
import { owedIn } from './event-log.ts';
import { testPromises } from './suite.ts';

testPromises(
  {
    name: 'event log',
    workload: new URL('workloads/event-log.ts', import.meta.url),
    inspect: (folder) => owedIn(join(folder, 'broker', 'logs'), ['default/quick', 'default/slow', 'late', 'forgotten']),
  },
  {
    disks: 120,
  },
);
