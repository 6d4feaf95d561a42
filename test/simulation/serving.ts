import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Deployment, DeploymentKind } from '../../src/api/apps/deployment.ts';
import { ReplicaSetKind } from '../../src/api/apps/replica-set.ts';
import { type Pod, PodKind } from '../../src/api/core/pod.ts';
import type { Kind } from '../../src/api/kind.ts';
import { type KubeObject, keyOf } from '../../src/api/meta.ts';
import { platformKinds } from '../../src/api/platform.ts';
import { labels } from '../../src/api/serving/names.ts';
import { RevisionKind } from '../../src/api/serving/revision.ts';
import { type Service, ServiceKind } from '../../src/api/serving/service.ts';
import { isConflict, isNotFound } from '../../src/api/status.ts';
import { type ApiServer, openApiServer } from '../../src/cluster/apiserver/index.ts';
import { workloadControllers } from '../../src/cluster/workloads/index.ts';
import { runControllers } from '../../src/kube/runner.ts';
import { silentLogger } from '../../src/observe/log.ts';
import { Autoscaler } from '../../src/serving/autoscaler/autoscaler.ts';
import { servingControllers } from '../../src/serving/index.ts';
import { isReady } from '../kit/conditions.ts';
import { ensureNamespace } from '../world.ts';
import { faultyLine, type Line, plainLine } from './faulty-client.ts';
import { SimulatedNode } from './simulated-node.ts';
import { noRows, SimulatedWriter } from './simulated-writer.ts';
import { reasonOf, type Simulation } from './simulation.ts';

const maxScale = 5;
const serviceNames = ['a', 'b', 'c'];
const patienceMs = 10 * 60_000;

/**
 * Serving's room: the real API server on a simulated disk, the real controllers of Serving and of workloads, the real
 * autoscaler; users who change and delete things, requests that come and stop, pods that are slow and crash, requests
 * to the API that fail or whose answer is lost, watches that break off, and control planes that are killed.
 *
 * What must hold: never are more pods asked for than `max-scale`; while requests wait and nothing goes wrong, there is
 * a pod within a minute; when nothing is asked for, every service is at zero; every Service comes to be Ready and every
 * object has its owner; and at rest nothing is written.
 */
export async function servingScenario(simulation: Simulation): Promise<void> {
  const world = new ServingWorld(simulation);
  try {
    await world.start();
    simulation.spawn(() => world.node.run());
    simulation.spawn(() => world.requests());
    simulation.spawn(() => world.changes());
    for (let crashes = simulation.random.between(0, 3); crashes > 0; crashes--) {
      await simulation.advance(simulation.random.between(1_000, 60_000));
      await world.crash();
    }
    await simulation.advance(60_000);
    simulation.calm();
    await simulation.until(
      'every service is ready',
      patienceMs,
      () => world.isReady,
      () => world.states,
    );
    await simulation.until(
      'what is asked for has a pod',
      60_000,
      () => world.isAnswered,
      () => world.states,
    );
    world.stopRequests();
    await simulation.until(
      'every service is at zero',
      patienceMs,
      () => world.isAtZero,
      () => world.states,
    );
    await simulation.until(
      'all pods are gone',
      patienceMs,
      () => world.podCount === 0,
      () => world.states,
    );
    await simulation.advance(60_000);
    world.checkOwners();
    await world.checkRest();
  } finally {
    world.remove();
  }
}

class ServingWorld {
  readonly node: SimulatedNode;
  readonly #simulation: Simulation;
  readonly #dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-simulation-'));
  readonly #disk = noRows();
  #writer!: SimulatedWriter;
  #api!: ApiServer;
  /** The control plane's, and everybody else's. */
  #line: Line | undefined;
  #others!: Line;
  #autoscaler!: Autoscaler;
  /** Requests a second, by service. */
  readonly #rates = new Map<string, number>();
  /** What the API has, as the last look showed it. */
  #services: readonly Service[] = [];
  #deployments: readonly Deployment[] = [];
  #pods: readonly Pod[] = [];

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.node = new SimulatedNode(simulation, () => this.#others.client);
    // Stands for the file that the real writer makes: a server whose store is gone does not start.
    mkdirSync(join(this.#dataDir, 'cluster'));
    writeFileSync(join(this.#dataDir, 'cluster', 'store.db'), '');
  }

  /** Opens the API on what the disk has, and starts a control plane on it. */
  async start(): Promise<void> {
    let isStarted = false;
    this.#simulation.spawn(async () => {
      // As the supervisor has it: what cannot start is started again.
      while (!isStarted)
        isStarted = await this.#start().then(
          () => true,
          (error) => this.#failed(error),
        );
    });
    await this.#simulation.until('the control plane starts', patienceMs, () => isStarted);
  }

  async #failed(error: unknown): Promise<false> {
    this.#simulation.note(`not started: ${reasonOf(error)}`);
    this.#line?.cut();
    this.#writer.crash();
    await this.#simulation.sleep(100);
    return false;
  }

  async #start(): Promise<void> {
    const simulation = this.#simulation;
    const { clock } = simulation;
    const log = silentLogger;
    this.#writer = new SimulatedWriter(simulation, this.#disk);
    this.#api = await openApiServer({
      dataDir: this.#dataDir,
      clock,
      log,
      kinds: platformKinds,
      startWriter: () => this.#writer,
    });
    await ensureNamespace(this.#api.client, 'default');
    this.#others = plainLine(this.#api.client);
    const line = faultyLine(simulation, this.#api.client);
    this.#line = line;
    const registry = { resolve: () => simulation.sleep(20).then(() => `sha256:${'d'.repeat(64)}`) };
    const controllers = [
      ...workloadControllers(),
      ...servingControllers({ registry, domain: 'localhost', gatewayPort: 8080 }),
    ];
    const running = await runControllers(controllers, { client: line.client, clock, log });
    this.#autoscaler = new Autoscaler({ client: line.client, cache: running.cache, clock, log });
    this.#autoscaler.tick();
    this.#autoscaler.start();
    simulation.note('started');
  }

  /** Kills the control plane, and the API server's process with it. */
  async crash(): Promise<void> {
    this.#simulation.note('crash');
    this.#line?.cut();
    this.#others.cut();
    this.#autoscaler.stop();
    this.#writer.crash();
    await this.start();
  }

  remove(): void {
    this.#line?.cut();
    this.#autoscaler?.stop();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Plays the gateway: a report a second of what each service's revision has to do, and a look at the world. */
  async requests(): Promise<void> {
    const simulation = this.#simulation;
    for (;;) {
      await simulation.sleep(1_000);
      await this.#tried(() => this.#look());
      for (const service of this.#services) this.#report(service);
    }
  }

  #report(service: Service): void {
    const { name } = service.metadata;
    const revision = service.status?.traffic?.[0]?.revisionName;
    const rate = this.#rates.get(name) ?? 0;
    if (revision === undefined || this.#simulation.fault(0.1)) return;
    const isUp = this.#readyPods(revision) > 0;
    this.#autoscaler.report({
      gateway: 'g',
      at: this.#simulation.clock.now(),
      revisions: [
        { namespace: 'default', name: revision, averageConcurrency: rate, requestCount: rate, queued: isUp ? 0 : rate },
      ],
    });
  }

  stopRequests(): void {
    this.#rates.clear();
    this.#simulation.note('no requests any more');
  }

  /** Plays users, until it is calm: they create, change and delete, and delete what the platform made for them. */
  async changes(): Promise<void> {
    const { random } = this.#simulation;
    while (!this.#simulation.isCalm) {
      await this.#simulation.sleep(random.between(200, 6_000));
      const name = random.pick(serviceNames);
      if (this.#simulation.isCalm) return;
      await this.#tried(() => this.#change(name));
    }
  }

  async #change(name: string): Promise<void> {
    const { random } = this.#simulation;
    const { client } = this.#others;
    const key = { namespace: 'default', name };
    const service = await client.get(ServiceKind, key);
    this.#rates.set(name, random.pick([0, 0, 1, 50, 300, 1_000]));
    if (!service) {
      await client.create(ServiceKind, serviceOf(name));
      return;
    }
    const deed = random.between(0, 9);
    this.#simulation.note(`user ${deed} ${name}`);
    if (deed < 5) await client.update(ServiceKind, changed(service, String(random.between(0, 1_000_000))));
    else if (deed < 7) await this.#deleteOne(PodKind);
    else if (deed < 8) await this.#deleteOne(random.pick<Kind>([DeploymentKind as Kind, ReplicaSetKind as Kind]));
    else await client.delete(ServiceKind, key, { propagationPolicy: random.pick(['Background', 'Foreground']) });
  }

  async #deleteOne<T extends KubeObject>(kind: Kind<T>): Promise<void> {
    const { items } = await this.#others.client.list(kind, { namespace: 'default' });
    const first = items.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))[0];
    if (first) await this.#others.client.delete(kind as Kind, keyOf(first));
  }

  async #tried(deed: () => Promise<void>): Promise<void> {
    try {
      await deed();
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) this.#simulation.note(`refused: ${reasonOf(error)}`);
    }
  }

  async #look(): Promise<void> {
    const { client } = this.#others;
    const all = { namespace: 'default' };
    this.#services = (await client.list(ServiceKind, all)).items;
    this.#deployments = (await client.list(DeploymentKind, all)).items;
    this.#pods = (await client.list(PodKind, all)).items;
    for (const { metadata, spec } of this.#deployments) {
      const found = { name: metadata.name, replicas: spec.replicas };
      this.#simulation.check((spec.replicas ?? 1) <= maxScale, 'no revision has more than max-scale', found);
    }
  }

  #readyPods(revision: string): number {
    return this.#pods.filter(
      ({ metadata, status }) =>
        metadata.labels?.[labels.revision] === revision &&
        !metadata.deletionTimestamp &&
        status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    ).length;
  }

  get isReady(): boolean {
    return this.#services.every(isReady);
  }

  /** Every service that has requests has a pod. */
  get isAnswered(): boolean {
    return this.#services.every((service) => {
      const revision = service.status?.traffic?.[0]?.revisionName ?? '';
      return (this.#rates.get(service.metadata.name) ?? 0) === 0 || this.#readyPods(revision) > 0;
    });
  }

  get isAtZero(): boolean {
    return this.#deployments.every(({ spec }) => spec.replicas === 0);
  }

  get podCount(): number {
    return this.#pods.length;
  }

  get states(): unknown {
    return {
      services: this.#services.map(({ metadata, status }) => [metadata.name, status?.conditions]),
      deployments: this.#deployments.map(({ metadata, spec, status }) => [
        metadata.name,
        metadata.deletionTimestamp,
        spec.replicas,
        status?.readyReplicas,
      ]),
      pods: this.#pods.map(({ metadata }) => [metadata.name, metadata.deletionTimestamp, metadata.finalizers]),
      rates: [...this.#rates],
    };
  }

  /** What has an owner has it still: nothing outlives what it was made for. */
  checkOwners(): void {
    const services = new Set(this.#services.map(({ metadata }) => metadata.name));
    for (const { metadata } of this.#deployments) {
      const service = metadata.labels?.[labels.service] ?? '';
      this.#simulation.check(services.has(service), 'a Deployment has its Service', metadata.name);
    }
  }

  /** At rest nothing is written: controllers that disagree, or that write what is there, would never end. */
  async checkRest(): Promise<void> {
    const { commits } = this.#disk;
    await this.#simulation.advance(5 * 60_000);
    this.#simulation.check(this.#disk.commits === commits, 'nothing is written at rest', this.#disk.commits - commits);
    let revisions: number | undefined;
    this.#simulation.spawn(async () => {
      revisions = (await this.#others.client.list(RevisionKind, { namespace: 'default' })).items.length;
    });
    await this.#simulation.until('the API answers', 10_000, () => revisions !== undefined);
    const found = { revisions, deployments: this.#deployments.length };
    this.#simulation.check(revisions === this.#deployments.length, 'each Revision has one Deployment', found);
  }
}

function serviceOf(name: string): Service {
  return {
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      template: {
        metadata: { annotations: { 'autoscaling.knative.dev/max-scale': String(maxScale) } },
        spec: { containers: [{ name: '', image: 'web' }] },
      },
    },
  };
}

/** The Service with another environment: a new Revision. */
function changed(service: Service, value: string): Service {
  const copy = structuredClone(service);
  const container = copy.spec.template?.spec.containers[0];
  if (container) container.env = [{ name: 'VERSION', value }];
  return copy;
}
