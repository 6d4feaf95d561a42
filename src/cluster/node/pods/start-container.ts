import type { Pod } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import type { ContainerOnNode, PortMap } from '../driver.ts';
import type { Image } from '../images/image.ts';
import { commandOf } from './command.ts';
import type { Run } from './container-runner.ts';
import { environmentOf } from './environment.ts';
import { imageFor, imageIdOf } from './image-for.ts';
import type { NodeContext } from './node-context.ts';
import { makeVolumes, mountsOf } from './volumes.ts';

export interface StartOptions {
  node: NodeContext;
  /** With the node's name. */
  pod: Pod;
  container: Container;
  restart: number;
  ports: PortMap;
  volumes: PodVolumes;
  signal: AbortSignal;
}

/** The volumes of one pod, made once for all its containers. */
export class PodVolumes {
  readonly dir: string;
  #made: Promise<void> | undefined;

  constructor(dir: string) {
    this.dir = dir;
  }

  async make(pod: Pod, { client, addresses }: NodeContext): Promise<void> {
    this.#made ??= makeVolumes(pod, this.dir, client, addresses);
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined; // What is missing may come: try again with the next start.
      throw error;
    }
  }
}

/** Starts one container of a pod with all that it asks for; throws what the container's status then says. */
export async function startContainer(options: StartOptions): Promise<Run & { image: Image }> {
  const { node, pod, container, restart, ports, volumes, signal } = options;
  const { driver, client, addresses, events, logs, metrics } = node;
  try {
    const image = await imageFor(node, pod, container);
    await volumes.make(pod, node);
    const imageEnv = image.config.env;
    const environment = await environmentOf({ pod, container, imageEnv, ports, client, addresses });
    const start: ContainerOnNode = {
      id: { podUid: pod.metadata.uid ?? '', container: container.name, restart },
      image,
      argv: commandOf(container, image.config, environment),
      workingDir: container.workingDir ?? image.config.workingDir,
      environment,
      mounts: await mountsOf(container, volumes.dir, environment),
      ports,
      logPath: logs.pathOf(pod.metadata, container.name, restart),
    };
    const running = await driver.start(start, signal);
    metrics?.starts.inc({ result: 'ok' });
    events.record(pod, 'Normal', 'Created', `Created container: ${container.name}`);
    for (const note of driver.notesOn(container)) events.record(pod, 'Normal', 'NotIsolated', note);
    return { image, running, imageId: imageIdOf(container, image), stopSignal: image.config.stopSignal };
  } catch (error) {
    metrics?.starts.inc({ result: 'failed' });
    throw error;
  }
}
