import type { Pod } from '../../../api/core/pod.ts';
import { runtimeLabel } from '../../../registry/labels.ts';
import type { Driver, Sandbox, SandboxRequest } from '../driver.ts';
import { nodeErrors } from '../errors.ts';

/** The ways in which this node runs pods; RuntimeClasses name them as their handlers. */
export interface Drivers {
  process: Driver;
  /** Or why there are no containers, and what to do. */
  container: Driver | { what: string; remedy: string };
}

/**
 * Both drivers as one: a pod runs as its `runtimeClassName` says. One that says nothing runs in containers where the
 * machine can, unless its images are ours, of which the runtime is on the machine already: those start fastest as
 * processes.
 */
export function driversByClass({ process, container }: Drivers): Driver {
  const containers = 'sandbox' in container ? container : undefined;
  const all = [process, ...(containers ? [containers] : [])];

  return {
    name: containers ? 'container' : 'process',
    prepare(image) {
      driverOf(image.config.labels)?.prepare(image);
    },
    async keepPrepared(digests) {
      for (const driver of all) await driver.keepPrepared(digests);
    },
    async sandbox(pod, signal, request) {
      const { uid = '' } = pod.metadata;
      // A pod that has a sandbox keeps its driver, whatever its images have come to be.
      const driver = all.find((each) => each.has(uid)) ?? (await choose(pod, request));
      return driver.sandbox(pod, signal);
    },
    has: (uid) => all.some((driver) => driver.has(uid)),
    async recover() {
      const found: Sandbox[] = [];
      for (const driver of all) found.push(...(await driver.recover()));
      return found;
    },
    async close(options) {
      for (const driver of all) await driver.close(options);
    },
  };

  async function choose({ spec }: Pod, request?: SandboxRequest): Promise<Driver> {
    const handler = request ? await request.handler() : spec.runtimeClassName;
    if (handler === 'process') return process;
    if (handler === undefined) {
      if (!containers) return process;
      const labels = (await request?.imageLabels()) ?? [];
      const areOurs = labels.length > 0 && labels.every((each) => each?.[runtimeLabel] !== undefined);
      return areOurs ? process : containers;
    }
    if (handler !== 'container') throw nodeErrors.RUNTIME_UNKNOWN({ name: handler });
    if ('what' in container) throw nodeErrors.RUNTIME_UNAVAILABLE({ handler, ...container });
    return container;
  }

  function driverOf(labels: Readonly<Record<string, string>>): Driver | undefined {
    return labels[runtimeLabel] === undefined ? containers : process;
  }
}
