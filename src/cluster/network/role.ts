import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { leasesIn } from './address-pool.ts';
import { nft } from './commands.ts';
import { SteadyDns } from './dns/steady-dns.ts';
import { obstacleToForwarding } from './forwarding.ts';
import { removePodNetwork, setUpGateway } from './gateway.ts';
import type { NetworkPlan } from './plan.ts';
import { watchPodTable } from './pod-table-watch.ts';
import { Policies } from './policies/policies.ts';
import { policyTable } from './policies/policy-table.ts';
import { serviceTable } from './services/ruleset.ts';
import { ServiceRules } from './services/service-rules.ts';

export interface NetworkRoleOptions {
  client: Client;
  plan: NetworkPlan;
  nodeName: string;
  /** What names in the cluster end with: `cluster.local`. */
  domain: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics | undefined;
}

/**
 * What of the network follows the API, and must go on while the control plane is started again. Resolves when what the
 * API says is in force; what an earlier process has left stands until then, and is replaced in one step. `stop` is for
 * the end of the platform: it takes all away.
 */
export async function startNetwork(options: NetworkRoleOptions): Promise<{ stop(): Promise<void> }> {
  const { plan, log } = options;
  await setUpGateway(plan);
  const obstacle = await obstacleToForwarding();
  if (obstacle) log.warn({ ...obstacle }, 'pods do not reach one another, nor the outside');
  const [dns, services, policies] = [new SteadyDns(options), new ServiceRules(options), new Policies(options)];
  await Promise.all([services.start(), policies.start(), dns.start()]);
  const endWatch = watchPodTable(plan, options);
  return {
    async stop() {
      endWatch();
      await Promise.all([services.stop(), policies.stop(), dns.stop()]);
      try {
        await removeTables([serviceTable(plan), policyTable(plan)]);
        if (leasesIn(plan).length === 0) await removePodNetwork(plan);
      } catch (error) {
        log.error({ reason: messageOf(error) }, 'something of the network was left behind');
      }
    },
  };
}

const removeTables = (tables: readonly string[]) =>
  nft(tables.map((table) => `table ip ${table} {}\ndelete table ip ${table}\n`).join(''));
