import { type CoreService, CoreServiceKind } from '../../../api/core/service.ts';
import { type EndpointSlice, EndpointSliceKind, serviceNameLabel } from '../../../api/discovery/endpoint-slice.ts';
import { keyOf, keyText, parseKeyText } from '../../../api/meta.ts';
import type { Client } from '../../../kube/client.ts';
import { Informer } from '../../../kube/informer.ts';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Logger } from '../../../observe/log.ts';
import { forgetUdp } from '../conntrack.ts';
import type { NetworkPlan } from '../plan.ts';
import { TableWriter } from '../table-writer.ts';
import { rulesOf } from './rules.ts';
import { Ruleset, serviceTable } from './ruleset.ts';
import { servedPorts } from './service-ports.ts';

export interface ServiceRulesOptions {
  client: Client;
  plan: NetworkPlan;
  /** What endpoints on this node say. */
  nodeName: string;
  clock: Clock;
  log: Logger;
}

/** Leads the addresses of Services to their endpoints, by rules of the kernel that follow the API. */
export class ServiceRules {
  readonly #options: ServiceRulesOptions;
  readonly #services: Informer<CoreService>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #slicesOf = new Map<string, Map<string, EndpointSlice>>();
  readonly #ruleset: Ruleset;
  readonly #changed = new Set<string>();
  readonly #writer: TableWriter;

  constructor(options: ServiceRulesOptions) {
    this.#options = options;
    const { client, clock, log, plan } = options;
    this.#services = new Informer(client, CoreServiceKind, { clock, log });
    this.#slices = new Informer(client, EndpointSliceKind, { clock, log });
    this.#ruleset = new Ruleset(plan);
    this.#writer = new TableWriter({
      table: serviceTable(plan),
      ruleset: this.#ruleset,
      prepare: () => this.#takeChanges(),
      clock,
      log,
    });
    this.#services.onChange((_type, service) => this.#change(keyText(keyOf(service))));
    this.#slices.onChange((type, slice, old) => {
      for (const each of old ? [old, slice] : [slice]) this.#index(each, type !== 'DELETED' && each === slice);
    });
  }

  /** Resolves when the rules of all Services are there; those of before stand until then. */
  async start(): Promise<void> {
    for (const informer of [this.#services, this.#slices]) informer.start();
    await Promise.all([this.#services.synced, this.#slices.synced]);
    await this.#writer.start();
  }

  /** The rules stay. */
  async stop(): Promise<void> {
    await Promise.all([this.#services.stop(), this.#slices.stop()]);
    await this.#writer.stop();
  }

  #index(slice: EndpointSlice, isHere: boolean): void {
    const { labels, namespace, name } = slice.metadata;
    const service = labels?.[serviceNameLabel];
    if (service === undefined) return;
    const key = keyText({ ...(namespace !== undefined && { namespace }), name: service });
    const slices = this.#slicesOf.get(key) ?? new Map<string, EndpointSlice>();
    if (isHere) slices.set(name, slice);
    else slices.delete(name);
    if (slices.size === 0) this.#slicesOf.delete(key);
    else this.#slicesOf.set(key, slices);
    this.#change(key);
  }

  #change(key: string): void {
    this.#changed.add(key);
    this.#writer.write();
  }

  /** Gives the ruleset what has changed; returns what is to be done once the kernel has it. */
  #takeChanges(): () => Promise<void> {
    const { nodeName, plan, log } = this.#options;
    const gone: { address: string; port: number }[] = [];
    const nodePorts: number[] = [];
    for (const key of this.#changed) {
      const old = this.#ruleset.rulesOf(key);
      let rules: ReturnType<typeof rulesOf> | undefined;
      try {
        const service = this.#services.get(parseKeyText(key));
        const slices = [...(this.#slicesOf.get(key)?.values() ?? [])];
        const ports = service ? servedPorts(service, slices, nodeName) : [];
        rules = ports.length > 0 ? rulesOf(ports, plan.clusterRange) : undefined;
      } catch (error) {
        // What is wrong with one Service is no other's fault.
        log.error({ service: key, err: error }, 'the rules of a Service could not be made: it has none');
      }
      this.#ruleset.set(key, rules);
      const stays = new Set(rules?.udp.endpoints.map(({ address, port }) => `${address} ${port}`));
      for (const target of old?.udp.endpoints ?? []) {
        if (!stays.has(`${target.address} ${target.port}`)) gone.push(target);
      }
      const hadEndpoints = (old?.udp.endpoints.length ?? 0) > 0;
      if (!hadEndpoints && rules && rules.udp.endpoints.length > 0) nodePorts.push(...rules.udp.nodePorts);
    }
    this.#changed.clear();
    return async () => {
      try {
        await forgetUdp({ endpoints: gone, nodePorts });
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'old UDP connections could not be ended: they end by themselves');
      }
    };
  }
}
