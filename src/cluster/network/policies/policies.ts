import { type Namespace, NamespaceKind } from '../../../api/core/namespace.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { type NetworkPolicy, NetworkPolicyKind } from '../../../api/networking/network-policy.ts';
import type { Client } from '../../../kube/client.ts';
import { Informer } from '../../../kube/informer.ts';
import type { Clock } from '../../../lib/clock.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { Logger } from '../../../observe/log.ts';
import type { NetworkPlan } from '../plan.ts';
import { TableWriter } from '../table-writer.ts';
import { policyRules } from './policy-rules.ts';
import { PolicyTable, policyTable } from './policy-table.ts';

export interface PoliciesOptions {
  client: Client;
  plan: NetworkPlan;
  clock: Clock;
  log: Logger;
}

/**
 * Enforces NetworkPolicies between pods, and between pods and what is beyond the cluster; what the host itself sends
 * and gets passes, as Kubernetes has it. Pods are watched only once there is a policy: most platforms have none.
 */
export class Policies {
  readonly #options: PoliciesOptions;
  readonly #policies: Informer<NetworkPolicy>;
  readonly #table: PolicyTable;
  readonly #writer: TableWriter;
  #others: { pods: Informer<Pod>; namespaces: Informer<Namespace> } | undefined;
  #othersHere: Promise<unknown> = Promise.resolve();

  constructor(options: PoliciesOptions) {
    this.#options = options;
    const { client, clock, log, plan } = options;
    this.#policies = new Informer(client, NetworkPolicyKind, { clock, log });
    this.#table = new PolicyTable(plan);
    const prepare = () => this.#makeRules();
    this.#writer = new TableWriter({ table: policyTable(plan), ruleset: this.#table, prepare, clock, log });
    this.#policies.onChange(() => {
      this.#watchOthers();
      this.#writer.write();
    });
  }

  async start(): Promise<void> {
    this.#policies.start();
    await this.#policies.synced;
    await this.#othersHere;
    await this.#writer.start();
  }

  /** The rules stay. */
  async stop(): Promise<void> {
    const others = Object.values(this.#others ?? {});
    await Promise.all([this.#policies, ...others].map((informer) => informer.stop()));
    await this.#writer.stop();
  }

  #watchOthers(): void {
    if (this.#others) return;
    const { client, clock, log } = this.#options;
    const pods = new Informer(client, PodKind, { clock, log });
    const namespaces = new Informer(client, NamespaceKind, { clock, log });
    this.#others = { pods, namespaces };
    this.#othersHere = Promise.all([pods.synced, namespaces.synced]).then(() => this.#writer.write());
    pods.onChange((type, pod, old) => {
      if (type === 'DELETED' || !old || !sameJson(whatMatters(pod), whatMatters(old))) this.#writer.write();
    });
    namespaces.onChange((type, namespace, old) => {
      if (type === 'DELETED' || !old || !sameJson(namespace.metadata.labels, old.metadata.labels)) this.#writer.write();
    });
    for (const informer of [pods, namespaces]) informer.start();
  }

  #makeRules(): () => Promise<void> {
    const { pods, namespaces } = this.#others ?? {};
    // Until all pods are known, the rules are those of before.
    if (pods && namespaces && !(pods.isSynced && namespaces.isSynced)) return nothing;
    this.#table.set(
      policyRules({
        policies: this.#policies.list(),
        pods: pods?.list() ?? [],
        namespaces: namespaces?.list() ?? [],
        clusterRange: this.#options.plan.clusterRange,
      }),
    );
    return nothing;
  }
}

const nothing = () => Promise.resolve();

/** Of a pod, for policies. */
const whatMatters = ({ metadata: { labels }, spec, status }: Pod) => ({
  labels,
  ip: status?.podIP,
  phase: status?.phase === 'Succeeded' || status?.phase === 'Failed',
  ports: spec.containers.map(({ ports }) => ports),
});
