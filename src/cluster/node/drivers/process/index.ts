import { mkdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Driver, DriverOptions, Sandbox } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import { HostPorts } from './host-ports.ts';
import { ProcessSandbox } from './sandbox.ts';
import { WorkingCopies } from './working-copies.ts';

/**
 * Containers as plain processes of the host: each a process group with a working copy of the image's root as its
 * folder. Needs no rights and nothing installed; keeps programs apart from each other's files and ports, not from
 * those of the user that runs the agent (`missingIsolation`).
 *
 * In the node's folder it has `pods/`, `spares/`, `compile-caches/` and `trash/`.
 */
export function processDriver(options: DriverOptions): Driver {
  const { address, clock } = options;
  const log = options.log.child({ driver: 'process' });
  const pods = join(options.dataDir, 'pods');
  mkdirSync(pods, { recursive: true });
  const files = new Files(clock);
  const copies = new WorkingCopies({ dir: options.dataDir, files, clock, log });
  const hostPorts = new HostPorts(address);
  const sandboxes = new Map<string, ProcessSandbox>();
  let isClosed = false;

  return {
    name: 'process',
    prepare: (image) => copies.prepare(image),
    keepPrepared: (digests) => copies.keep(digests),
    sandbox,
    has: (podUid) => sandboxes.has(podUid),
    recover,
    async close() {
      isClosed = true;
      await copies.close();
      await files.close();
    },
  };

  async function sandbox(pod: Pod, signal: AbortSignal): Promise<Sandbox> {
    const { uid = '' } = pod.metadata;
    const found = sandboxes.get(uid);
    if (found?.ports) return found;
    const ports = await hostPorts.takeFor(pod);
    if (signal.aborted) hostPorts.release(ports);
    signal.throwIfAborted();
    const made = found ?? make(uid);
    made.ports = ports;
    return made;
  }

  async function recover(): Promise<Sandbox[]> {
    const entries = await readdir(pods, { withFileTypes: true });
    for (const entry of entries.filter((each) => each.isDirectory())) {
      const found = make(entry.name);
      await found.adopt();
      hostPorts.hold(found.ports ?? {});
    }
    const count = [...sandboxes.values()].reduce((sum, each) => sum + each.containers.length, 0);
    log.info({ sandboxes: sandboxes.size, containers: count }, 'containers found again');
    return [...sandboxes.values()];
  }

  function make(podUid: string): ProcessSandbox {
    const made = new ProcessSandbox({
      podUid,
      dir: join(pods, podUid),
      address,
      copies,
      files,
      clock,
      log,
      isClosed: () => isClosed,
      onRemoved() {
        sandboxes.delete(podUid);
        hostPorts.release(made.ports ?? {});
      },
    });
    sandboxes.set(podUid, made);
    return made;
  }
}
