import { join } from 'node:path';
import { processDriver } from '../cluster/node/drivers/process/index.ts';
import { systemClock } from '../lib/clock.ts';
import { createLogger } from '../observe/log.ts';

/**
 * Ends the pods that a control process has left running: it was killed, and none followed that would find them again.
 * Their objects stay, and the next start runs them if they are still wanted. No control process may run meanwhile.
 */
export async function endLeftPods(dataDir: string): Promise<void> {
  const driver = processDriver({
    dataDir: join(dataDir, 'node'),
    clock: systemClock,
    log: createLogger('supervisor', 'error'),
  });
  try {
    const left = await driver.recover();
    for (const container of left) container.signal('SIGKILL');
    await Promise.all(left.map((container) => container.exited));
  } finally {
    await driver.close();
  }
}
