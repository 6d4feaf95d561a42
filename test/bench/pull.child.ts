/** The registry of the bench, in a process of its own: `pull.child.ts FOLDER`; prints its port. */
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { startRegistry } from '../../src/registry/server/registry.ts';

const registry = await startRegistry({
  ...{ dir: process.argv[2] ?? '', port: 0 },
  ...{ clock: systemClock, log: silentLogger },
});
process.stdout.write(`${registry.port}\n`);
process.on('SIGTERM', () => process.exit(0));
