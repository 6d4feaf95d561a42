import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import { dnsDomain } from '../../../../api/names.ts';
import { bootId } from '../../../../lib/boot-id.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { randomHex } from '../../../../lib/random-hex.ts';
import type { Driver, DriverOptions, Sandbox } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import { Arrivals } from './arrivals.ts';
import { openCgroups } from './cgroups/open.ts';
import { canHold } from './held.ts';
import { Namespaces } from './namespaces.ts';
import { findRuntime, OciRuntime } from './oci-runtime.ts';
import { Stacks } from './overlay.ts';
import { ContainerSandbox } from './sandbox.ts';
import { readMachine } from './spec/machine.ts';
import { Specs } from './specs.ts';

/**
 * Containers as Kubernetes has them: namespaces for each pod, a root of its image's layers and control groups for each
 * container, over an OCI runtime of the system. There is no daemon: what a container needs to run, to be found again
 * and to have its end known is on the disk, in mounts, and in a shell that waits for it (launch.ts).
 *
 *     containers/boot              the run of the machine that all of this is of
 *                pods/UID/         record.ts
 *                namespaces/       namespaces.ts
 *                runtime/ started/ what the OCI runtime knows, and what it has started
 *                stacks/  trash/
 */
export function containerDriver(options: DriverOptions): Driver {
  const { address, clock, network } = options;
  const log = options.log.child({ driver: 'container' });
  const dir = join(options.dataDir, 'containers');
  const folders = Object.fromEntries(
    (['pods', 'namespaces', 'runtime', 'started', 'stacks', 'trash'] as const).map((name) => [name, join(dir, name)]),
  ) as Record<'pods' | 'namespaces' | 'runtime' | 'started' | 'stacks' | 'trash', string>;
  mkdirSync(dir, { recursive: true });
  forgetOtherBoots(dir, [folders.runtime, folders.started, folders.stacks]);
  for (const folder of [folders.pods, folders.runtime, folders.trash])
    mkdirSync(folder, { recursive: true, mode: 0o700 });

  const path = findRuntime();
  if (path === undefined) throw new Error('there is no OCI runtime: runc, crun or youki');
  const found = openCgroups({ id: nodeId(dir), clock });
  if ('missing' in found) throw new Error(found.missing);
  const { cgroups } = found;
  const runtime = new OciRuntime({ path, stateDir: folders.runtime });
  const namespaces = new Namespaces(folders.namespaces, clock);
  const started = new Arrivals(folders.started, clock);
  const stacks = new Stacks(folders.stacks);
  const files = new Files(clock);
  const names = { nameservers: network?.nameservers ?? [], domain: dnsDomain };
  const machine = readMachine(cgroups);
  const specs = new Specs(machine, names, join(options.dataDir, 'seccomp'));
  const sandboxes = new Map<string, ContainerSandbox>();
  let holding: Promise<boolean> | undefined;
  for (const name of readdirSync(folders.trash)) removeLater(join(folders.trash, name));

  return {
    name: 'container',
    prepare(image) {
      stacks.of(image);
    },
    keepPrepared: async (digests) => stacks.keep(digests),
    sandbox,
    has: (podUid) => sandboxes.has(podUid),
    recover,
    async close(closing) {
      if (closing?.leavesNothing) await Promise.all([...sandboxes.values()].map(removeQuietly));
      // What is half removed keeps mounts and groups of the node: the next agent would have to find them.
      await Promise.all([...sandboxes.values()].map(({ removal }) => removal));
      started.close();
      await files.close();
      await namespaces.close();
      cgroups.close();
      if (sandboxes.size === 0) await network?.close();
    },
  };

  async function sandbox(pod: Pod, signal: AbortSignal): Promise<Sandbox> {
    signal.throwIfAborted();
    const { uid = '' } = pod.metadata;
    const wanted = sandboxes.get(uid) ?? add(uid);
    await wanted.make(pod, signal);
    return wanted;
  }

  async function recover(): Promise<Sandbox[]> {
    const entries = await readdir(folders.pods, { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isDirectory())) await add(name).adopt();
    started.forgetCommands();
    const known = new Set(sandboxes.keys());
    await network?.recover(known);
    // What an agent that died while it removed a pod has left.
    for (const uid of new Set([...cgroups.podUids(), ...namespaces.podUids()])) {
      if (known.has(uid)) continue;
      await cgroups.remove(uid);
      await namespaces.remove(uid);
    }
    const count = [...sandboxes.values()].reduce((sum, each) => sum + each.containers.length, 0);
    log.info({ sandboxes: sandboxes.size, containers: count }, 'containers found again');
    return [...sandboxes.values()];
  }

  async function removeQuietly(sandbox: Sandbox): Promise<void> {
    try {
      await sandbox.remove();
    } catch (error) {
      log.warn({ pod: sandbox.podUid, reason: messageOf(error) }, 'something of a pod is left until the next start');
    }
  }

  function add(podUid: string): ContainerSandbox {
    const made = new ContainerSandbox({
      ...{ podUid, namespaces, stacks, specs, network, cgroups, runtime, started, clock, log },
      dir: join(folders.pods, podUid),
      podFiles: names,
      canHold() {
        holding ??= canHold(runtime.path);
        return holding;
      },
      hostAddress: address,
      discard(folder) {
        const doomed = join(folders.trash, randomHex(8));
        renameSync(folder, doomed);
        removeLater(doomed);
      },
      onRemoved: () => sandboxes.delete(podUid),
    });
    sandboxes.set(podUid, made);
    return made;
  }

  function removeLater(folder: string): void {
    files
      .remove(folder)
      .catch((error) => log.warn({ folder, reason: messageOf(error) }, 'a folder stays until the next start'));
  }
}

/** Tells what this node has of the machine from what others have: by the folder `containers/`. */
export const nodeId = (dir: string): string => createHash('sha256').update(realpathSync(dir)).digest('hex').slice(0, 8);

/** What is only true in one run of the machine is not there in the next. */
function forgetOtherBoots(dir: string, folders: readonly string[]): void {
  const path = join(dir, 'boot');
  const known = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (known === bootId()) return;
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  writeFileSync(path, bootId());
}
