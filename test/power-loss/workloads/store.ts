/**
 * Eight writers of ConfigMaps through the API server's own client, in three sessions. The first two are killed at it;
 * whoever opens the store after that and shows an object promises it anew.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ConfigMapKind } from '../../../src/api/core/config-map.ts';
import { openApiServer } from '../../../src/cluster/apiserver/index.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { Random } from '../../kit/random.ts';
import { note, promised } from '../notes.ts';
import { killSession, runSessions } from '../sessions.ts';

const dataDir = process.env.POWER_LOSS_ROOT ?? '';
const open = () => openApiServer({ dataDir, clock: systemClock, log: silentLogger, kinds: [] });

const [seed, session] = process.argv.slice(2);
if (seed === 'open') await (await open()).stop();
else if (session !== undefined) await work(Number(session));
else runSessions(3);

async function work(session: number): Promise<void> {
  const random = new Random(Number(seed) + session);
  const { client, stop } = await open();
  const shown = await client.list(ConfigMapKind, { namespace: 'default' });
  for (const { metadata, data } of shown.items) note({ done: metadata.name ?? '', value: data?.version ?? null });
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
  const writing = Promise.all(Array.from({ length: 8 }, (_, w) => writer(w)));
  if (session < 2) await killSession(() => serial % 1_000_000 > 150);
  await writing;
  // Nothing to do for long enough, and the store moves its log into its database: then it is written to again.
  await pause(700);
  await writer(0);
  await stop();
}
