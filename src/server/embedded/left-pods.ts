import { join } from 'node:path';
import { chooseDriver } from '../../cluster/node/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { loopback } from '../../observe/listen.ts';
import { createLogger } from '../../observe/log.ts';

/**
 * Ends the pods that a control process has left running: it was killed, and none followed that would find them again.
 * Their objects stay, and the next start runs them if they are still wanted. No control process may run meanwhile.
 */
export async function endLeftPods(dataDir: string): Promise<void> {
  const driver = chooseDriver().open({
    dataDir: join(dataDir, 'node'),
    address: loopback,
    clock: systemClock,
    log: createLogger('supervisor', 'error'),
  });
  try {
    const left = (await driver.recover()).flatMap((sandbox) => sandbox.containers);
    for (const container of left) container.signal('SIGKILL');
    await Promise.all(left.map((container) => container.exited));
  } finally {
    await driver.close();
  }
}
