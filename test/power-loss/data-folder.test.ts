import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { ensurePki } from '../../src/cluster/apiserver/http/pki/pki.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openDataDir } from '../../src/server/data-dir.ts';
import { listSetAside } from '../../src/server/quarantine-files.ts';
import { testPromises } from './suite.ts';

testPromises(
  {
    name: 'data folder',
    workload: new URL('workloads/data-folder.ts', import.meta.url),
    // Whatever is left of a first start, a next one opens it; and an authority that was served stays the same.
    async inspect(folder) {
      const dataDir = join(folder, 'user', 'kittiwake');
      openDataDir(dataDir).release();
      const { ca } = ensurePki(join(dataDir, 'pki'), systemClock);
      listSetAside(dataDir);
      const kept = new Map([['authority', new X509Certificate(ca).fingerprint256]]);
      return { states: new Map(), kept, broken: [] };
    },
  },
  {
    disks: 120,
  },
);
