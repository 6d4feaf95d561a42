import { readdirSync, readFileSync } from 'node:fs';
import { messageOf } from '../../lib/errors.ts';
import { ipv4Number } from '../../lib/ipv4.ts';
import type { Logger } from '../../observe/log.ts';
import { AddressPool, addressFolder, type Lease } from './address-pool.ts';
import { cidrText } from './cidr.ts';
import { ip, nft, run } from './commands.ts';
import { forgetUdp } from './conntrack.ts';
import { networkErrors } from './errors.ts';
import { deleteLinks, removePodNetwork, setUpGateway, writeSetting } from './gateway.ts';
import * as rules from './host-rules.ts';
import type { NetworkPlan } from './plan.ts';
import type { HostPort, PodIps, PodNetwork, PodToAttach } from './pod-network.ts';
import { uplink } from './routes.ts';

/**
 * Pods behind routed links (ADR 0030): nothing joins them but the host's routes, so every packet between two of them
 * passes the host's rules, and the route says which address may come through which link.
 *
 *     pod: eth0 10.244.0.5/32 ══veth══ kwID-0005 :host: kw-ID 10.244.0.1      10.244.0.0/24 unreachable
 *          default via 10.244.0.1      10.244.0.5 ──▶ kwID-0005               10.96.0.0/16 ──▶ kw-ID
 *
 * Needs root, and `ip`, `nsenter` and `nft` of the system.
 */
export class NetworkOfPods implements PodNetwork {
  readonly gatewayAddress: string;
  readonly nameservers: readonly string[];
  readonly #plan: NetworkPlan;
  readonly #pool: AddressPool;
  readonly #log: Logger;
  /** The work on each pod, one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #isSetUp: Promise<{ mtu: number }> | undefined;

  constructor(plan: NetworkPlan, log: Logger) {
    this.#plan = plan;
    this.#log = log;
    this.#pool = new AddressPool(addressFolder(plan), plan.podRange);
    this.gatewayAddress = plan.gatewayAddress;
    this.nameservers = [plan.dnsAddress];
  }

  attach(pod: PodToAttach, netnsPath: string, signal: AbortSignal): Promise<PodIps> {
    return this.#inTurn(pod.uid, async () => {
      try {
        return await this.#attach(pod, netnsPath, signal);
      } catch (error) {
        await this.#detach(pod.uid);
        throw error;
      }
    });
  }

  detach(podUid: string): Promise<void> {
    return this.#inTurn(podUid, () => this.#detach(podUid));
  }

  async recover(podUids: ReadonlySet<string>): Promise<void> {
    const gone = this.#pool.leases.filter(({ pod }) => !podUids.has(pod.uid));
    const links = new Set(this.#pool.leases.map((lease) => this.#linkOf(lease)));
    await Promise.all(gone.map(({ pod }) => this.detach(pod.uid)));
    await deleteLinks(this.#linksHere().filter((link) => !links.has(link)));
    if (this.#pool.leases.length > 0) await this.#setUp();
  }

  async close(): Promise<void> {
    if (this.#pool.leases.length > 0) return;
    this.#isSetUp = undefined;
    await removePodNetwork(this.#plan);
  }

  async #attach(pod: PodToAttach, netnsPath: string, signal: AbortSignal): Promise<PodIps> {
    this.#checkHostPorts(pod);
    const isNew = this.#pool.leaseOf(pod.uid) === undefined;
    const lease = this.#pool.take(pod);
    const [link, { mtu }] = [this.#linkOf(lease), await this.#setUp()];
    if (!isNew) await deleteLinks(this.#linksHere().filter((each) => each === link));
    const { address } = lease;
    const peer = `peer name eth0 mtu ${mtu} netns ${pathInBatch(netnsPath)}`;
    await ip(
      [`link add ${link} mtu ${mtu} type veth ${peer}`, `link set ${link} up`, `route add ${address} dev ${link}`],
      signal,
    );
    this.#configureLink(link);
    await run(['nsenter', `--net=${netnsPath}`, 'ip', '-batch', '-'], this.#insidePod(address), signal);
    if (pod.hostPorts.length > 0) {
      const transaction = pod.hostPorts.map((port) => rules.addHostPort(this.#plan, { address, port })).join('');
      await this.#write(transaction, signal);
      await this.#forgetUdp(lease);
    }
    return { ips: [address] };
  }

  #insidePod(address: string): string {
    return `link set lo up
addr add ${address}/32 dev eth0
link set eth0 up
route add ${this.gatewayAddress} dev eth0 scope link
route add default via ${this.gatewayAddress}
`;
  }

  /** Endpoints of Services may be programs on the host's loopback; `check-pod` keeps all else from it. */
  #configureLink(link: string): void {
    writeSetting(`net/ipv4/conf/${link}/route_localnet`, '1');
    try {
      writeSetting(`net/ipv6/conf/${link}/disable_ipv6`, '1'); // No way around the rules, which are of IPv4.
    } catch {
      // This kernel has no IPv6.
    }
  }

  async #detach(podUid: string): Promise<void> {
    const lease = this.#pool.leaseOf(podUid);
    if (!lease) return;
    const link = this.#linkOf(lease);
    await deleteLinks(this.#linksHere().filter((each) => each === link));
    if (lease.pod.hostPorts.length > 0 && this.#isSetUp) {
      const of = (port: HostPort) => rules.removeHostPort(this.#plan, { address: lease.address, port });
      await this.#write(lease.pod.hostPorts.map(of).join(''));
      await this.#forgetUdp(lease);
    }
    this.#pool.free(podUid);
  }

  /** Changes the table, or replaces it: somebody may have removed it. */
  async #write(transaction: string, signal?: AbortSignal): Promise<void> {
    try {
      await nft(transaction, signal);
    } catch {
      signal?.throwIfAborted();
      await nft(rules.podTableText(this.#plan, this.#hostPorts()) + transaction, signal); // Says what the first did.
    }
  }

  #hostPorts(): rules.HostPortLease[] {
    return this.#pool.leases.flatMap(({ address, pod }) => pod.hostPorts.map((port) => ({ address, port })));
  }

  /** Who goes on sending to a host port is led where it leads now. */
  async #forgetUdp({ address, pod: { hostPorts } }: Lease): Promise<void> {
    const udp = hostPorts.filter(({ protocol }) => protocol === 'UDP');
    const endpoints = udp.map(({ containerPort: port }) => ({ address, port }));
    try {
      await forgetUdp({ endpoints, nodePorts: udp.map(({ hostPort }) => hostPort) });
    } catch (error) {
      this.#log.warn({ reason: messageOf(error) }, 'old UDP connections could not be ended: they end by themselves');
    }
  }

  #checkHostPorts(pod: PodToAttach): void {
    for (const port of pod.hostPorts) {
      const other = this.#pool.leases.find(
        (lease) => lease.pod.uid !== pod.uid && lease.pod.hostPorts.some((each) => clash(each, port)),
      );
      if (!other) continue;
      const by = `${other.pod.namespace}/${other.pod.name}`;
      throw networkErrors.HOST_PORT_TAKEN({ port: `${port.hostPort}/${port.protocol}`, by });
    }
  }

  /** The gateway, the routes and the table; once, and again after it failed. */
  #setUp(): Promise<{ mtu: number }> {
    this.#isSetUp ??= this.#setUpOnce().catch((error) => {
      this.#isSetUp = undefined;
      throw error;
    });
    return this.#isSetUp;
  }

  async #setUpOnce(): Promise<{ mtu: number }> {
    const mtu = uplinkMtu();
    await setUpGateway(this.#plan);
    await nft(rules.podTableText(this.#plan, this.#hostPorts()));
    this.#log.info({ range: cidrText(this.#plan.podRange), mtu }, 'the network of pods is there');
    return { mtu };
  }

  #linksHere(): string[] {
    return readdirSync('/sys/class/net').filter((name) => name.startsWith(rules.linkPrefix(this.#plan)));
  }

  #linkOf({ address }: Lease): string {
    const within = (ipv4Number(address) ?? 0) - this.#plan.podRange.first;
    return rules.linkPrefix(this.#plan) + within.toString(16).padStart(4, '0');
  }

  async #inTurn<T>(podUid: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(podUid);
    const turn = (before ?? Promise.resolve()).then(work, work);
    this.#turns.set(podUid, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(podUid) === turn) this.#turns.delete(podUid);
    }
  }
}

/** `ip` reads its batch as a shell would, in words. */
function pathInBatch(path: string): string {
  if (/^[\w./:@+=,~-]+$/.test(path)) return path;
  throw new Error(`the path of a network namespace is ${JSON.stringify(path)}: it must be letters, digits and ./-_`);
}

const clash = (a: HostPort, b: HostPort) =>
  a.hostPort === b.hostPort &&
  a.protocol === b.protocol &&
  (rules.isAny(a.hostIP) || rules.isAny(b.hostIP) || a.hostIP === b.hostIP);

/** Of the interface through which packets leave the machine: larger ones from pods would be lost or cut there. */
function uplinkMtu(): number {
  const device = uplink();
  try {
    const mtu = Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'));
    return mtu >= 576 && mtu <= 65_535 ? mtu : 1500;
  } catch {
    return 1500; // The machine has no way out.
  }
}
