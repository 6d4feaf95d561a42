/** Eight writers of ConfigMaps through the API server's own client; sessions end by closing, or by falling silent. */
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigMapKind } from '../../../src/api/core/config-map.ts';
import { openApiServer } from '../../../src/cluster/apiserver/index.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { note, promised } from '../notes.ts';
import { Random } from '../random.ts';

const dataDir = process.env.POWER_LOSS_ROOT ?? '';
const open = () => openApiServer({ dataDir, clock: systemClock, log: silentLogger, kinds: [] });

if (process.argv[2] === 'open') await (await open()).stop();
else for (let session = 0; session < 3; session++) await work(session);

async function work(session: number): Promise<void> {
  const random = new Random(Number(process.argv[2]) + session);
  const { client, stop } = await open();
  let serial = session * 1_000_000;
  const writer = async (w: number) => {
    for (let i = 0; i < 60; i++) {
      const key = { namespace: 'default', name: `w${w}-${random.below(12)}` };
      const there = await client.get(ConfigMapKind, key);
      if (there && random.next() < 0.2) {
        await promised(key.name, null, () => client.delete(ConfigMapKind, key));
        continue;
      }
      const version = `${++serial}`;
      const fill = version.repeat(random.pick([1, 10, 500, 8000]));
      const metadata = { ...key };
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { version, fill } } as const;
      const written = await promised(key.name, version, () =>
        there ? client.update(ConfigMapKind, object) : client.create(ConfigMapKind, object),
      );
      note({ floor: 'revision', value: Number(written.metadata.resourceVersion) });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, w) => writer(w)));
  // Nothing to do for long enough, and the store moves its log into its database: then it is written to again.
  await pause(700);
  await writer(0);
  await stop();
}
