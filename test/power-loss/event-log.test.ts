import { join } from 'node:path';
import { owedIn } from './event-log.ts';
import { testPromises } from './suite.ts';

const file = 'src/eventing/backends/sqlite-file.ts';

testPromises(
  {
    name: 'event log',
    workload: new URL('workloads/event-log.ts', import.meta.url),
    inspect: (folder) =>
      owedIn(join(folder, 'broker', 'logs', 'default.b.uid.db'), ['quick', 'slow', 'late', 'forgotten']),
  },
  {
    disks: 120,
    mutants: {
      'no fdatasync before an append is acknowledged': {
        file,
        from: 'fdatasync: flush = fdatasync',
        to: 'fdatasync: flush = (_fd, done) => setImmediate(done, null)',
      },
      'synchronous=OFF': { file, from: 'synchronous = NORMAL', to: 'synchronous = OFF' },
    },
  },
);
