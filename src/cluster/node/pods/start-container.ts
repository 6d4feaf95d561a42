import type { Pod } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import type { CoreService } from '../../../api/core/service.ts';
import type { ContainerOnNode, Sandbox } from '../driver.ts';
import type { Image } from '../images/image.ts';
import { commandOf } from './command.ts';
import type { Run } from './container-runner.ts';
import { environmentOf } from './environment.ts';
import { imageFor, imageIdOf } from './image-for.ts';
import type { NodeContext } from './node-context.ts';
import { linkedServices } from './service-links.ts';
import { messageMount, messagePathOf } from './terminated.ts';
import { mountsOf } from './volumes/mounts.ts';
import type { PodVolumes } from './volumes/pod-volumes.ts';

export interface StartOptions {
  node: NodeContext;
  /** With the node's name. */
  pod: Pod;
  container: Container;
  restart: number;
  sandbox: Sandbox;
  volumes: PodVolumes;
  signal: AbortSignal;
}

/** Starts one container of a pod with all that it asks for; throws what the container's status then says. */
export async function startContainer(options: StartOptions): Promise<Run & { image: Image }> {
  const { node, pod, container, restart, sandbox, volumes, signal } = options;
  const { events, metrics } = node;
  const place = { host: node.host, pod: sandbox.addresses };
  try {
    const image = await imageFor(node, pod, container, sandbox.bringsRuntimes);
    await volumes.make(pod, place, sandbox);
    const start = await containerOnNode({ node, pod, container, restart, sandbox, image, volumes });
    const messagePath = messagePathOf(volumes.dir, start.id);
    const running = await sandbox.start(start, signal);
    metrics?.starts.inc({ result: 'ok' });
    events.record(pod, 'Normal', 'Created', `Created container: ${container.name}`);
    for (const note of sandbox.notesOn(container)) events.record(pod, 'Normal', 'NotIsolated', note);
    const { stopSignal } = image.config;
    return { image, running, imageId: imageIdOf(container, image), stopSignal, messagePath };
  } catch (error) {
    metrics?.starts.inc({ result: 'failed' });
    throw error;
  }
}

export interface ContainerOptions extends Omit<StartOptions, 'signal' | 'volumes'> {
  image: Image;
  /** Made already. */
  volumes: Pick<PodVolumes, 'dir' | 'sources' | 'work'>;
}

/** All that a driver is told of a start. */
export async function containerOnNode(options: ContainerOptions): Promise<ContainerOnNode> {
  const { node, pod, container, restart, sandbox, image, volumes } = options;
  const { client, logs } = node;
  const environment = await environmentOf({
    pod,
    container,
    imageEnv: image.config.env,
    services: await servicesFor(node, pod),
    client,
    place: { host: node.host, pod: sandbox.addresses },
  });
  const id = { podUid: pod.metadata.uid ?? '', container: container.name, restart };
  return {
    id,
    spec: container,
    image,
    argv: commandOf(container, image.config, environment),
    workingDir: container.workingDir ?? image.config.workingDir,
    environment,
    mounts: await volumes.work(async () => [
      ...(await mountsOf(container, pod.spec.volumes, volumes.sources, environment)),
      ...(await messageMount(container, messagePathOf(volumes.dir, id))),
    ]),
    logPath: logs.pathOf(pod.metadata, container.name, restart),
  };
}

async function servicesFor({ services }: NodeContext, { metadata, spec }: Pod): Promise<CoreService[]> {
  await services.synced;
  return linkedServices(services, metadata.namespace ?? 'default', spec.enableServiceLinks ?? true);
}
