import { join } from 'node:path';
import { chooseDriver, endContainers } from '../../cluster/node/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { loopback } from '../../observe/listen.ts';
import { createLogger } from '../../observe/log.ts';

/**
 * Ends the pods that a control process has left running: it was killed, and none followed that would find them again.
 * Their objects stay, and the next start runs them if they are still wanted. No control process may run meanwhile.
 */
export async function endLeftPods(dataDir: string): Promise<void> {
  const [clock, log] = [systemClock, createLogger('supervisor', 'error')];
  const driver = chooseDriver().open({ dataDir: join(dataDir, 'node'), address: loopback, clock, log });
  try {
    const left = (await driver.recover()).flatMap((sandbox) => sandbox.containers);
    await endContainers(left, { clock, log, killAfterMs: 0 });
  } finally {
    await driver.close();
  }
}
