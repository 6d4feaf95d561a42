import { join } from 'node:path';
import { ConfigMapKind } from '../../src/api/core/config-map.ts';
import { openApiServer } from '../../src/cluster/apiserver/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import type { Subject } from './crash.ts';
import { integrity } from './integrity.ts';
import type { Found } from './ledger.ts';
import { testPromises } from './suite.ts';

const store: Subject = {
  name: 'store',
  workload: new URL('workloads/store.ts', import.meta.url),
  async inspect(dataDir) {
    const { client, stop } = await openApiServer({ dataDir, clock: systemClock, log: silentLogger, kinds: [] });
    const found: Found = { states: new Map(), floors: new Map(), broken: [] };
    try {
      const { items, resourceVersion } = await client.list(ConfigMapKind, { namespace: 'default' });
      found.floors?.set('revision', Number(resourceVersion));
      for (const { metadata, data = {} } of items) {
        const { version = '', fill = '' } = data;
        found.states.set(metadata.name ?? '', version);
        if (fill.replaceAll(version, '') !== '') found.broken.push(`${metadata.name} is made of several versions`);
      }
    } finally {
      await stop();
    }
    found.broken.push(...integrity(join(dataDir, 'cluster', 'store.db')));
    return found;
  },
};

testPromises(store, {
  disks: 120,
});
