import { missingForPodNetwork, type NetworkPlan, planNetwork } from '../../cluster/network/index.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Config } from '../config.ts';

/** Whether this machine and its user can give pods a network of their own. */
export async function canHavePodNetwork(): Promise<boolean> {
  return (await missingForPodNetwork()) === undefined;
}

/**
 * The names and ranges of this platform's network, the same for all its roles; undefined where there is none, or other
 * platforms have taken all ranges: pods are processes then.
 */
export function podNetworkPlan({ dataDir, hasPodNetwork }: Config, log: Logger): NetworkPlan | undefined {
  if (!hasPodNetwork) return undefined;
  try {
    return planNetwork({ dataDir });
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'pods get no network of their own');
    return undefined;
  }
}
