/** Assembles the network role: the addresses of Services, in a process of its own, so that they outlive the others. */
import { dnsDomain } from '../../api/names.ts';
import { startNetwork } from '../../cluster/network/role.ts';
import { systemClock } from '../../lib/clock.ts';
import { startDataPathRole } from '../data-path-role.ts';
import type { Role, RoleContext } from '../roles.ts';
import { nodeName } from './node-name.ts';

import { podNetworkPlan } from './pod-network.ts';

export function start(context: RoleContext): Promise<Role> {
  const { config, log } = context;
  return startDataPathRole('network', context, async ({ client, metrics }) => {
    const plan = podNetworkPlan(config, log);
    if (!plan) return { async stop() {} };
    return startNetwork({ client, plan, nodeName, domain: dnsDomain, clock: systemClock, log, metrics });
  });
}
