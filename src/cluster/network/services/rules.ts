import { createHash } from 'node:crypto';
import { ipv4Number } from '../../../lib/ipv4.ts';
import { type Cidr, cidrText, contains, parseCidr } from '../cidr.ts';
import type { ServedPort, Target } from './service-ports.ts';

/** What one Service adds to the table. */
export interface Rules {
  /** By name, the rules of each chain. */
  chains: ReadonlyMap<string, string>;
  /** By name, what each set is. */
  sets: ReadonlyMap<string, string>;
  /** Entries of the table's own maps and sets. */
  elements: readonly Element[];
  /** The endpoints and node ports of UDP: the kernel remembers where such packets went. */
  udp: { endpoints: readonly Target[]; nodePorts: readonly number[] };
}

export interface Element {
  in: 'addresses' | 'node-ports' | 'unserved' | 'hairpins' | 'outside';
  key: string;
  /** The verdict, in maps. */
  value?: string;
}

/**
 * A connection to a Service's address goes through one lookup and one chain, which chooses an endpoint:
 *
 *     addresses { 10.96.0.5 . tcp . 80 : goto svc-… }     node-ports { tcp . 30080 : goto svc-… }
 *     chain svc-… { dnat to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.0.3 . 8080 } }
 *
 * With affinity each endpoint has a chain that remembers the client in a set of its own.
 */
export function rulesOf(ports: readonly ServedPort[], clusterRange: Cidr): Rules {
  const [chains, sets, elements] = [new Map<string, string>(), new Map<string, string>(), [] as Element[]];
  const udp = { endpoints: [] as Target[], nodePorts: [] as number[] };
  for (const port of ports) {
    const put = (chain: string, rules: string) => {
      chains.set(chain, rules);
      return `goto ${chain}`;
    };
    const { protocol, endpoints, localEndpoints } = port;
    elements.push(...crossings(endpoints, protocol, clusterRange));
    if (protocol === 'udp') {
      udp.endpoints.push(...endpoints);
      if (port.nodePort !== undefined) udp.nodePorts.push(port.nodePort);
    }
    if (endpoints.length === 0) {
      // Addresses in the Services' range are refused as a whole.
      for (const ip of port.externalIps) elements.push({ in: 'unserved', key: `${ip} . ${protocol} . ${port.port}` });
      continue;
    }
    const lead = (suffix: string, targets: readonly Target[]) =>
      targets.length === 0 ? 'drop' : put(chainName(port, suffix), choice(port, targets, put, sets));
    const cluster = lead('', endpoints);
    const local = port.isInsideLocal || port.isOutsideLocal ? lead('.local', localEndpoints) : cluster;
    const inside = port.isInsideLocal ? local : cluster;
    elements.push({ in: 'addresses', key: `${port.clusterIp} . ${protocol} . ${port.port}`, value: inside });
    if (port.nodePort === undefined && port.externalIps.length === 0) continue;
    const outside = port.isOutsideLocal
      ? put(
          chainName(port, '.outside'),
          // What comes from within may go anywhere: the client's address is not lost by it.
          `ip saddr ${cidrText(clusterRange)} ${cluster}\nfib saddr type local ${cluster}\n${local}`,
        )
      : cluster;
    if (port.nodePort !== undefined) {
      elements.push({ in: 'node-ports', key: `${protocol} . ${port.nodePort}`, value: outside });
    }
    const { sources } = port;
    const guarded = sources
      ? put(chainName(port, '.sources'), `ip saddr { ${disjoint(sources.ranges).join(', ')} } ${outside}\ndrop`)
      : outside;
    for (const ip of port.externalIps) {
      const value = sources?.ips.includes(ip) ? guarded : outside;
      elements.push({ in: 'addresses', key: `${ip} . ${protocol} . ${port.port}`, value });
    }
  }
  return { chains, sets, elements, udp };
}

/** The rules that choose one of `targets`. */
function choice(
  port: ServedPort,
  targets: readonly Target[],
  put: (chain: string, rules: string) => string,
  sets: Map<string, string>,
): string {
  const toTarget = `meta l4proto ${port.protocol} dnat ip to`;
  const { affinitySeconds } = port;
  if (affinitySeconds === undefined) {
    const [only] = targets;
    if (targets.length === 1 && only) return `${toTarget} ${only.address}:${only.port}`;
    const entries = targets.map(({ address, port: number }, i) => `${i} : ${address} . ${number}`);
    return `${toTarget} numgen random mod ${targets.length} map { ${entries.join(', ')} }`;
  }
  const remembered: string[] = [];
  const entries = targets.map(({ address, port: number }, i) => {
    const set = chainName(port, `.clients/${address}/${number}/${affinitySeconds}`);
    sets.set(set, `type ipv4_addr; flags dynamic, timeout; timeout ${affinitySeconds}s; size 65535;`);
    const one = `update @${set} { ip saddr }\n${toTarget} ${address}:${number}`;
    const verdict = put(chainName(port, `.to/${address}/${number}`), one);
    remembered.push(`ip saddr @${set} ${verdict}`);
    return `${i} : ${verdict}`;
  });
  return [...remembered, `numgen random mod ${targets.length} vmap { ${entries.join(', ')} }`].join('\n');
}

/**
 * A pod that reaches itself must not see its own address as the client's, and what is beyond the cluster could not
 * answer one of it.
 */
function crossings(targets: readonly Target[], protocol: string, clusterRange: Cidr): Element[] {
  return targets.flatMap(({ address, port }): Element[] => {
    const number = ipv4Number(address) ?? 0;
    if (contains(clusterRange, number)) return [{ in: 'hairpins', key: `${address} . ${address}` }];
    if (contains(loopbackRange, number)) return [];
    return [{ in: 'outside', key: `${address} . ${protocol} . ${port}` }];
  });
}

const loopbackRange: Cidr = { first: 127 * 2 ** 24, prefix: 8 };

/** A set of ranges takes none that lies within another. */
function disjoint(ranges: readonly string[]): string[] {
  const parsed = ranges.flatMap((range) => parseCidr(range) ?? []).sort((a, b) => a.prefix - b.prefix);
  const kept: Cidr[] = [];
  for (const range of parsed) if (!kept.some((wider) => contains(wider, range.first))) kept.push(range);
  return kept.map(cidrText);
}

const nameMax = 120;

/** What people read, after what tells it from all others. */
function chainName({ name }: ServedPort, suffix: string): string {
  const hash = createHash('sha256').update(`${name}${suffix}`).digest('hex').slice(0, 12);
  return `svc-${hash}-${name}${suffix}`.replace(/[^A-Za-z0-9./_-]/g, '_').slice(0, nameMax);
}
