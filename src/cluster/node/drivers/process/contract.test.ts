import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLogger } from '../../../../observe/log.ts';
import { Files } from '../../images/files.ts';
import { ImageStore } from '../../images/store.ts';
import { driverContract } from '../../testing/driver-contract.ts';
import { openTestRegistry } from '../../testing/test-images.ts';
import { processDriver } from './index.ts';

const shared = { clock: systemClock, log: silentLogger };
const echo = `require('net').createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  .listen(process.argv[1], () => console.log('listening'))`;

driverContract('the process driver', async () => {
  const registry = await openTestRegistry();
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-images-'));
  const files = new Files(systemClock);
  const images = await ImageStore.open({ ...shared, dir, source: registry.client, files });
  const shell = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, ...args];
  return {
    image: await images.pull(await registry.push([{ file: '' }])),
    open: (dataDir) => processDriver({ ...shared, dataDir, address: '127.0.0.1' }),
    commands: {
      prints: (text) => shell(`printf '%s' "$0"`, text),
      complains: (text) => shell(`printf '%s' "$0" >&2`, text),
      printsVariable: (name) => shell(`printf '%s' "$${name}"`),
      exits: (code) => shell(`exit ${code}`),
      waits: ['sleep', '1000'],
      copiesInput: ['cat'],
      echoes: (port) => ['node', '-e', echo, String(port)],
      printsSize: shell('while :; do set -- $(stty size); [ $1 = 0 ] || [ $2 = 0 ] || echo $2x$1; sleep 0.05; done'),
    },
    async close() {
      await files.close();
      await registry.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
});
