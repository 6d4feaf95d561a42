import { contains } from '../../cluster/network/cidr.ts';
import { systemClock } from '../../lib/clock.ts';
import { ipv4Number } from '../../lib/ipv4.ts';
import { ownAddresses } from '../../lib/own-addresses.ts';
import { urlOf } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import { type Config, isLoopback } from '../config.ts';
import type { Inside } from '../substrate.ts';
import { brokerUrlOf } from './platform-services.ts';
import { podNetworkPlan } from './pod-network.ts';

/** Whoever reaches the loopback is inside; where the platform is open to others, this machine and its pods are. */
export function inside(config: Config, log: Logger): Inside {
  const { bindAddress, ports } = config;
  const plan = podNetworkPlan(config, log);
  const brokerUrl = plan ? brokerUrlOf(plan) : urlOf(ports.broker, bindAddress);
  if (isLoopback(bindAddress)) return { brokerUrl };
  const isOwn = ownAddresses(systemClock);
  const isPods = (address: string) => {
    const number = ipv4Number(address);
    return plan !== undefined && number !== undefined && contains(plan.clusterRange, number);
  };
  return { brokerUrl, isInside: (address) => isPods(address) || isOwn(address) };
}
