import { openWorld, type World, type WorldOptions } from '../../../test/world.ts';
import { type Deployment, DeploymentKind, type DeploymentStatus } from '../../api/apps/deployment.ts';
import type { BuildSpec } from '../../api/build/build.ts';
import { type ContainerStatus, type Pod, PodKind } from '../../api/core/pod.ts';
import { type Condition, conditionOf, type Key, keyOf, timestamp } from '../../api/meta.ts';
import { labels } from '../../api/serving/names.ts';
import { type Revision, RevisionKind } from '../../api/serving/revision.ts';
import { type Service, ServiceKind } from '../../api/serving/service.ts';
import type { TrafficTarget } from '../../api/serving/traffic.ts';
import { afterwards, type Scope } from '../../lib/testing/afterwards.ts';
import { servingControllers } from '../index.ts';
import type { DigestResolver } from '../revision/digest-queue.ts';

export const digest = `sha256:${'d'.repeat(64)}`;
/** A registry that has every image but those called `missing`. */
export const anyImage: DigestResolver = {
  async resolve(reference) {
    if (reference.includes('missing')) throw new Error('HTTP 404: manifest unknown');
    return digest;
  },
};

/** Serving's controllers on a real API server, for one test, which plays Deployments, nodes and builds. */
export async function openServingWorld(
  t: Scope,
  registry: DigestResolver = anyImage,
  options: Pick<WorldOptions, 'clock' | 'quarantine'> = {},
): Promise<ServingWorld> {
  const world = await openWorld({
    ...options,
    controllers: servingControllers({ registry, domain: 'localhost', gatewayPort: 8080 }),
  });
  afterwards(t, () => world.stop());
  return new ServingWorld(world);
}

export const inDefault = (name: string): Key => ({ namespace: 'default', name });

/** What one test does to its world and sees of it. */
export class ServingWorld {
  readonly world: World;

  constructor(world: World) {
    this.world = world;
  }

  get client() {
    return this.world.client;
  }

  async createService(name: string, given: { image?: string; build?: BuildSpec; traffic?: TrafficTarget[] } = {}) {
    const image = given.build ? undefined : (given.image ?? 'web');
    const container = { name: '', ...(image === undefined ? {} : { image }) };
    return await this.client.create(ServiceKind, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name, namespace: 'default' },
      spec: {
        ...(given.build ? { build: given.build } : {}),
        template: { spec: { containers: [container] } },
        ...(given.traffic ? { traffic: given.traffic } : {}),
      },
    });
  }

  /** A new Service whose first revision is up. */
  async runningService(name: string): Promise<Service> {
    await this.createService(name);
    await this.bringUp(`${name}-00001`);
    return await this.readyService(name);
  }

  /** Changes the newest Service; a conflict with a controller is tried again. */
  async changeService(name: string, change: (service: Service) => void): Promise<Service> {
    const patch = structuredClone((await this.client.get(ServiceKind, inDefault(name))) as Service);
    change(patch);
    const spec = { ...patch.spec };
    return await this.client.patch(ServiceKind, inDefault(name), {
      type: 'merge',
      patch: { metadata: { labels: patch.metadata.labels ?? {} }, spec },
    });
  }

  /** Plays the Deployment's controller and the node: all wanted pods are ready. */
  async bringUp(revision: string): Promise<void> {
    const deployment = await this.deployment(revision);
    await this.setDeploymentStatus(deployment, deployment.spec.replicas ?? 1);
  }

  async deployment(revision: string): Promise<Deployment> {
    const found = await this.world.until(DeploymentKind, inDefault(`${revision}-deployment`), Boolean);
    return found as Deployment;
  }

  async setDeploymentStatus(deployment: Deployment, ready: number): Promise<void> {
    const replicas = deployment.spec.replicas ?? 1;
    const status: DeploymentStatus = {
      observedGeneration: deployment.metadata.generation ?? 1,
      replicas,
      readyReplicas: ready,
      availableReplicas: ready,
      updatedReplicas: replicas,
      conditions: [{ type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' }],
    };
    const current = (await this.client.get(DeploymentKind, keyOf(deployment))) as Deployment;
    await this.client.update(DeploymentKind, { ...current, status }, 'status');
  }

  /** A pod of the revision whose container is in this state; its Deployment has nothing ready. */
  async failPod(revision: string, container: Partial<ContainerStatus>): Promise<void> {
    const deployment = await this.deployment(revision);
    const { template } = deployment.spec;
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `${revision}-pod`, namespace: 'default', labels: template.metadata?.labels ?? {} },
      spec: { ...structuredClone(template.spec), nodeName: 'somewhere' },
    };
    const created = await this.client.create(PodKind, pod);
    const named = { name: 'user-container', image: '', imageID: '', ready: false, restartCount: 1, ...container };
    await this.client.update(
      PodKind,
      { ...created, status: { ...created.status, phase: 'Running', containerStatuses: [named] } },
      'status',
    );
    await this.setDeploymentStatus(deployment, 0);
  }

  service(name: string, isAsExpected: (service: Service) => unknown): Promise<Service> {
    const check = (service: Service | undefined) => service !== undefined && isAsExpected(service);
    return this.world.until(ServiceKind, inDefault(name), check) as Promise<Service>;
  }

  revision(name: string, isAsExpected: (revision: Revision) => unknown): Promise<Revision> {
    const check = (revision: Revision | undefined) => revision !== undefined && isAsExpected(revision);
    return this.world.until(RevisionKind, inDefault(name), check) as Promise<Revision>;
  }

  /** The Service once it is Ready for its newest spec. */
  readyService(name: string): Promise<Service> {
    return this.service(
      name,
      (service) =>
        conditionOf(service, 'Ready')?.status === 'True' &&
        service.status?.observedGeneration === service.metadata.generation,
    );
  }
}

/** `status reason` of a condition, for short assertions. */
export function stateOf(object: Service | Revision, type: string): string {
  const { status, reason }: Partial<Condition> = conditionOf(object, type) ?? {};
  return `${status ?? 'absent'}${reason ? ` ${reason}` : ''}`;
}

export const revisionLabelOf = (revision: Revision): string | undefined =>
  revision.metadata.labels?.[labels.routingState];

/** A moment `seconds` ago, as in a container's status. */
export const secondsAgo = (seconds: number): string => timestamp(Date.now() - seconds * 1000);
