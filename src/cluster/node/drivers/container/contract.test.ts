import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../../lib/clock.ts';
import { silentLogger } from '../../../../observe/log.ts';
import { NetworkOfPods, planNetwork } from '../../../network/index.ts';
import { inOwnNetwork } from '../../../network/testing/own-network.ts';
import { driverContract } from '../../testing/driver-contract.ts';
import { containerDriver } from './index.ts';
import { hostImage } from './testing/host-image.ts';

const shared = { clock: systemClock, log: silentLogger };
const echo = `require('net').createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  .listen(process.argv[1], () => console.log('listening'))`;
/** `stty` sets rows and columns one after the other: both have to be new. */
const showsSize = `while :; do
  set -- $(stty size)
  case "$1 $2" in '0 '* | *' 0' | '24 '* | *' 80') sleep 0.02 ;; *) echo "$2x$1"; exec sleep 1000 ;; esac
done`;

inOwnNetwork(import.meta.url, () => {
  driverContract('the container driver', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kittiwake-image-'));
    const shell = (script: string, ...args: string[]) => ['/bin/sh', '-c', script, ...args];
    return {
      image: hostImage(dir, { node: true }),
      open(dataDir) {
        const plan = planNetwork({ dataDir, claimsDir: join(dataDir, 'claims') });
        const network = new NetworkOfPods(plan, silentLogger);
        return containerDriver({ ...shared, dataDir, address: '127.0.0.1', network });
      },
      commands: {
        prints: (text) => shell(`printf '%s' "$0"`, text),
        complains: (text) => shell(`printf '%s' "$0" >&2`, text),
        printsVariable: (name) => shell(`printf '%s' "$${name}"`),
        exits: (code) => shell(`exit ${code}`),
        // The first process of its namespace hears only the signals that it has asked for.
        waits: shell('trap "exit 143" TERM; trap "exit 138" USR1; while :; do sleep 1000 & wait; done'),
        copiesInput: ['cat'],
        echoes: (port) => ['node', '-e', echo, String(port)],
        printsSize: shell(showsSize),
      },
      async close() {
        rmSync(dir, { recursive: true, force: true });
      },
    };
  });
});
