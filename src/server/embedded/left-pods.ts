import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NetworkOfPods, type PodNetwork, planNetwork } from '../../cluster/network/index.ts';
import { chooseDriver, endContainers } from '../../cluster/node/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { loopback } from '../../observe/listen.ts';
import { createLogger, type Logger } from '../../observe/log.ts';
import { canHavePodNetwork } from './pod-network.ts';

/**
 * Ends the pods that a control process has left running: it was killed, and none followed that would find them again.
 * Their objects stay, and the next start runs them if they are still wanted. No control process may run meanwhile.
 */
export async function endLeftPods(dataDir: string): Promise<void> {
  const [clock, log] = [systemClock, createLogger('supervisor', 'error')];
  const network = existsSync(join(dataDir, 'node', 'containers')) ? await networkOf(dataDir, log) : undefined;
  const driver = chooseDriver().open({ dataDir: join(dataDir, 'node'), address: loopback, clock, log, network });
  try {
    const left = (await driver.recover()).flatMap((sandbox) => sandbox.containers);
    await endContainers(left, { clock, log, killAfterMs: 0 });
  } finally {
    await driver.close({ leavesNothing: true });
  }
}

/** That of its pods, if it has been given any. */
async function networkOf(dataDir: string, log: Logger): Promise<PodNetwork | undefined> {
  return (await canHavePodNetwork()) ? new NetworkOfPods(planNetwork({ dataDir }), log) : undefined;
}
