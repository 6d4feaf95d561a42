import type { Client } from '../../../kube/client.ts';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { ipv4Block } from '../../../lib/ipv4.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import { type Cidr, cidrText } from '../cidr.ts';
import type { NetworkPlan } from '../plan.ts';
import { type ClusterDns, startClusterDns } from './cluster-dns.ts';

export interface SteadyDnsOptions {
  client: Pick<Client, 'watch'>;
  plan: Pick<NetworkPlan, 'gatewayAddress' | 'dnsAddress' | 'serviceRange' | 'clusterRange'>;
  domain: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics | undefined;
}

const tryAgainMs = 5_000;

/**
 * The DNS of a node. Where somebody else listens at its port, it waits until they do not: pods then have no names, but
 * all else of the network goes on.
 */
export class SteadyDns {
  readonly #options: SteadyDnsOptions;
  #dns: ClusterDns | undefined;
  #starting: Promise<void> | undefined;
  #cancel = () => {};
  #isStopped = false;

  constructor(options: SteadyDnsOptions) {
    this.#options = options;
  }

  /** Resolves when the names of the cluster are known, or it is to be tried again. */
  async start(): Promise<void> {
    this.#starting = this.#try();
    await this.#starting;
    await this.#dns?.synced;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel();
    await this.#starting;
    await this.#dns?.stop();
  }

  async #try(): Promise<void> {
    const { client, clock, domain, log, metrics, plan } = this.#options;
    const { gatewayAddress: address, dnsAddress: serviceAddress } = plan;
    const blocks = [plan.serviceRange, plan.clusterRange].flatMap((range: Cidr) => ipv4Block(cidrText(range)) ?? []);
    try {
      this.#dns = await startClusterDns({ client, address, domain, serviceAddress, blocks, clock, log, metrics });
    } catch (error) {
      log.error({ address, reason: messageOf(error) }, 'the DNS of the cluster cannot listen: pods find no names');
      if (this.#isStopped) return;
      this.#cancel = clock.after(tryAgainMs, () => {
        this.#starting = this.#try();
      });
    }
  }
}
