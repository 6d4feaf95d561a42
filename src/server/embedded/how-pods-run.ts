import { missingForPodNetwork } from '../../cluster/network/index.ts';
import { chooseDriver } from '../../cluster/node/index.ts';

export interface HowPodsRun {
  /** In a few words. */
  summary: string;
  /** Why there is no better way, and what to do about it. */
  lack: { what: string; remedy: string } | undefined;
  /** What a pod could expect of Kubernetes and does not get, a sentence each. */
  missingIsolation: readonly string[];
}

/** How this machine, and its user, run pods: containers need what the system has, and a network. */
export async function howPodsRun(): Promise<HowPodsRun> {
  const network = await missingForPodNetwork();
  return chooseDriver(network && { what: `pods get no network: ${network.missing}`, remedy: network.remedy });
}
