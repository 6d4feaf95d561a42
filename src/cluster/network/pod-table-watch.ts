import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { leasesIn } from './address-pool.ts';
import { nft, run } from './commands.ts';
import { podTable, podTableText } from './host-rules.ts';
import type { NetworkPlan } from './plan.ts';

const everyMs = 20_000;

/**
 * Looks every now and then whether the table of all pods is there while pods are, and writes it again when somebody has
 * flushed all tables, as services of firewalls do when they are started again. Returns how to end that.
 */
export function watchPodTable(plan: NetworkPlan, { clock, log }: { clock: Clock; log: Logger }): () => void {
  let isStopped = false;
  let cancel = () => {};
  const look = async () => {
    try {
      if (await mendPodTable(plan))
        log.warn({ table: podTable(plan) }, 'somebody has removed our rules: written again');
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the rules of pods could not be looked at');
    }
    if (!isStopped) later();
  };
  const later = () => {
    cancel = clock.after(everyMs, () => void look()); // It does not reject.
  };
  later();
  return () => {
    isStopped = true;
    cancel();
  };
}

/** Whether it had to. */
export async function mendPodTable(plan: NetworkPlan): Promise<boolean> {
  const leases = leasesIn(plan);
  if (leases.length === 0) return false;
  const tables = await run(['nft', 'list', 'tables', 'ip'], '');
  if (tables.split('\n').includes(`table ip ${podTable(plan)}`)) return false;
  const ports = leases.flatMap(({ address, pod }) => pod.hostPorts.map((port) => ({ address, port })));
  await nft(podTableText(plan, ports));
  return true;
}
