import { cidrText } from './cidr.ts';
import type { NetworkPlan } from './plan.ts';
import type { HostPort } from './pod-network.ts';

/** The bridge without ports that has the gateway's address: of the devices that hold one, every kernel has it. */
export const gatewayDevice = ({ id }: Pick<NetworkPlan, 'id'>) => `kw-${id}`;

/** What the host's ends of the pods' links are called: this, and the address within the range in hexadecimal. */
export const linkPrefix = ({ id }: Pick<NetworkPlan, 'id'>) => `kw${id}-`;

/** The table for what concerns all pods, and for host ports. */
export const podTable = ({ id }: Pick<NetworkPlan, 'id'>) => `kittiwake-${id}`;

export interface HostPortLease {
  address: string;
  port: HostPort;
}

/** The whole table, in place of the one that is there, in one transaction. */
export function podTableText(plan: NetworkPlan, ports: readonly HostPortLease[]): string {
  const [table, pods, gateway] = [podTable(plan), `"${linkPrefix(plan)}*"`, plan.gatewayAddress];
  const cluster = cidrText(plan.clusterRange);
  return `table ip ${table} {}
delete table ip ${table}
table ip ${table} {
  map host-ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  map address-ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
  # Pods that reach themselves by a port of the host: their own address would not come back to it.
  set hairpins { type ipv4_addr . ipv4_addr; }

  chain from-pods {
    type filter hook prerouting priority raw; policy accept;
    iifname ${pods} goto check-pod;
  }
  chain check-pod {
    # Each pod's route leads to its own link: who says another address is dropped, as is who asks for the loopback.
    fib saddr . iif oif missing drop;
    ip daddr 127.0.0.0/8 drop;
  }
  chain host-ports {
    meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @address-ports;
    meta l4proto { tcp, udp, sctp } fib daddr type local dnat ip to meta l4proto . th dport map @host-ports;
  }
  chain host-ports-from-outside {
    type nat hook prerouting priority -101; policy accept;
    goto host-ports;
  }
  chain host-ports-from-host {
    type nat hook output priority -101; policy accept;
    goto host-ports;
  }
  chain leaving {
    type nat hook postrouting priority srcnat; policy accept;
    oifname ${pods} ip saddr 127.0.0.0/8 snat to ${gateway};
    oifname ${pods} ip saddr . ip daddr @hairpins snat to ${gateway};
    ip saddr ${cluster} ip daddr != ${cluster} oifname != { "lo", "${gatewayDevice(plan)}" } masquerade;
  }
}
${ports.map((port) => addHostPort(plan, port)).join('')}`;
}

export function addHostPort(plan: NetworkPlan, { address, port }: HostPortLease): string {
  const { map, key } = keyOfPort(port);
  return `add element ip ${podTable(plan)} ${map} { ${key} : ${address} . ${port.containerPort} }
add element ip ${podTable(plan)} hairpins { ${address} . ${address} }\n`;
}

/** None of it may be there: adding is no error where it is, removing would be. */
export const removeHostPort = (plan: NetworkPlan, lease: HostPortLease): string =>
  addHostPort(plan, lease) +
  `delete element ip ${podTable(plan)} ${keyOfPort(lease.port).map} { ${keyOfPort(lease.port).key} }
delete element ip ${podTable(plan)} hairpins { ${lease.address} . ${lease.address} }\n`;

function keyOfPort({ hostIP, hostPort, protocol }: HostPort): { map: string; key: string } {
  const key = `${protocol.toLowerCase()} . ${hostPort}`;
  return isAny(hostIP) ? { map: 'host-ports', key } : { map: 'address-ports', key: `${hostIP} . ${key}` };
}

export const isAny = (hostIP: string | undefined) => hostIP === undefined || hostIP === '' || hostIP === '0.0.0.0';
