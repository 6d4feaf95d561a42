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
  const { client, events, logs, metrics } = node;
  const place = { host: node.host, pod: sandbox.addresses };
  try {
    const image = await imageFor(node, pod, container, sandbox.bringsRuntimes);
    await volumes.make(pod, place, sandbox);
    const imageEnv = image.config.env;
    const environment = await environmentOf({
      pod,
      container,
      imageEnv,
      services: await servicesFor(node, pod),
      client,
      place,
    });
    const id = { podUid: pod.metadata.uid ?? '', container: container.name, restart };
    const messagePath = messagePathOf(volumes.dir, id);
    const start: ContainerOnNode = {
      id,
      spec: container,
      image,
      argv: commandOf(container, image.config, environment),
      workingDir: container.workingDir ?? image.config.workingDir,
      environment,
      mounts: await volumes.work(async () => [
        ...(await mountsOf(container, pod.spec.volumes, volumes.sources, environment)),
        ...(await messageMount(container, messagePath)),
      ]),
      logPath: logs.pathOf(pod.metadata, container.name, restart),
    };
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

async function servicesFor({ services }: NodeContext, { metadata, spec }: Pod): Promise<CoreService[]> {
  await services.synced;
  return linkedServices(services, metadata.namespace ?? 'default', spec.enableServiceLinks ?? true);
}
