/** A first start and a second one, as the supervisor and the control role make them: format, lock, certificates. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiServer } from '../../../src/cluster/apiserver/index.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { silentLogger } from '../../../src/observe/log.ts';
import { openDataDir } from '../../../src/server/data-dir.ts';
import { listSetAside, release, setAside } from '../../../src/server/quarantine-files.ts';
import { note } from '../notes.ts';

const dataDir = join(process.env.POWER_LOSS_ROOT ?? '', 'user', 'kittiwake');

for (let start = 0; start < (process.argv[2] === 'open' ? 1 : 3); start++) {
  const folder = openDataDir(dataDir);
  const api = await openApiServer({ dataDir, clock: systemClock, log: silentLogger, kinds: [] });
  await api.listen({ port: 0 });
  const { fingerprint256 } = new X509Certificate(readFileSync(join(dataDir, 'pki', 'ca.crt')));
  // Whoever connects from here on keeps the authority's certificate.
  if (process.argv[2] !== 'open') note({ kept: 'authority', value: fingerprint256 });
  const name = `revision default/r${start}`;
  setAside(dataDir, { role: 'control', name, reason: 'it died', times: 2, since: new Date().toISOString() });
  for (const entry of listSetAside(dataDir).slice(1)) release(dataDir, entry.role, entry.name);
  await api.stop();
  folder.release();
}
