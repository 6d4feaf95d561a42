import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Pod, qosClassOf } from '../../../../../api/core/pod.ts';
import { type Clock, sleep } from '../../../../../lib/clock.ts';
import { assert } from '../../../../../lib/errors.ts';
import type { ContainerId, ContainerStats } from '../../../driver.ts';
import { type Controller, controllers, type Hierarchy } from './hierarchy.ts';
import { outOfMemoryKills, readNumber, readText, statsOf } from './read.ts';
import { podResources, type Resources, weightOf } from './resources.ts';

export interface CgroupsOptions {
  hierarchy: Hierarchy;
  /** Of this node, unique on the machine: all its groups are below `kittiwake-ID`. */
  id: string;
  clock: Clock;
  /** Processes and threads of one pod at most. */
  podPidsMax?: number;
}

/** As OpenShift has it (Kubernetes itself sets no bound): a fork bomb is held, a JVM with a thousand threads is not. */
const podPidsMaxDefault = 4096;

/**
 * The control groups of a node's pods, as the kubelet arranges them:
 *
 *     kittiwake-ID ─┬─ podUID ─── CONTAINER.RESTART       Guaranteed
 *                   ├─ burstable ─── podUID ─── …         with the shares of all its pods together
 *                   └─ besteffort ─── podUID ─── …        with next to none
 *
 * The pod's is ours: it has the pod's limits, and stays until `remove`. A container's is made by the OCI runtime, at
 * the path that `pathOf` says. The runtime removes it when the container ends, and with it the count of what the kernel
 * killed there: so the container is run with `--keep`, `outOfMemoryKills` is read, and then it is deleted.
 */
export class Cgroups {
  readonly hierarchy: Hierarchy;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #podPidsMax: number;

  constructor({ hierarchy, id, clock, podPidsMax = podPidsMaxDefault }: CgroupsOptions) {
    assert(/^[a-zA-Z0-9-]+$/.test(id), `${id} can be part of a group's name`);
    this.hierarchy = hierarchy;
    this.#root = join(hierarchy.base, `kittiwake-${id}`);
    this.#clock = clock;
    this.#podPidsMax = podPidsMax;
  }

  get cgroupVersion(): 1 | 2 {
    return this.hierarchy.version;
  }

  /** Whether memory and swap can be limited together; known once there is a group of ours. */
  get hasSwapLimit(): boolean {
    const memory = this.hierarchy.mounts.memory;
    if (memory === undefined) return false;
    return this.hierarchy.version === 1
      ? existsSync(join(memory, 'memory.memsw.limit_in_bytes'))
      : existsSync(join(memory, this.#root, 'burstable', 'memory.swap.max'));
  }

  /** Makes the group of the node, so that what stands in the way of that is known before the first pod. */
  open(): void {
    this.#make(join(this.#root, 'burstable'));
  }

  /** Removes the groups of the node as far as no pod is in them. */
  close(): void {
    for (const tree of this.hierarchy.trees) {
      for (const parent of ['burstable', 'besteffort', '']) removeEmpty(join(tree, this.#root, parent));
    }
  }

  /** Of a pod, or of one start of one of its containers: `linux.cgroupsPath` of the OCI specification. */
  pathOf(pod: Pod, container?: Pick<ContainerId, 'container' | 'restart'>): string {
    const parent = { Guaranteed: '', Burstable: 'burstable', BestEffort: 'besteffort' }[qosClassOf(pod.spec)];
    const name = container ? `${container.container}.${container.restart}` : '';
    return join(this.#root, parent, `pod${checked(pod.metadata.uid ?? '')}`, name && checked(name));
  }

  /** Makes the pod's group with the pod's limits; again when it is there. */
  makePod(pod: Pod): void {
    const path = this.pathOf(pod);
    for (let attempt = 0; ; attempt++) {
      try {
        this.#make(path);
        break;
      } catch (error) {
        // Another agent of the same folder may be removing a parent that was empty.
        if (attempt === 3 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    this.#set(path, podResources(pod));
    this.#write('pids', path, 'pids.max', String(this.#podPidsMax));
    this.#balance();
  }

  /** What a group of a pod or container uses; undefined when it is not there. */
  stats(path: string): ContainerStats | undefined {
    return statsOf(this.hierarchy, path);
  }

  /** How many processes the kernel has killed in a container's group because its memory, or its pod's, was used up. */
  outOfMemoryKills(path: string): number {
    return outOfMemoryKills(this.hierarchy, path);
  }

  /** How often the group's processor time was used up in a period. */
  throttledPeriods(path: string): number {
    return readNumber(this.#at('cpu', path), 'cpu.stat', 'nr_throttled') ?? 0;
  }

  /** The processes in a group and those below it. */
  processes(path: string): number[] {
    const tree = this.hierarchy.mounts.pids ?? this.hierarchy.trees[0];
    return tree === undefined ? [] : processesBelow(join(tree, path));
  }

  /** The pods that have groups here, whoever made them. */
  podUids(): string[] {
    const found = this.hierarchy.trees.flatMap((tree) =>
      ['', 'burstable', 'besteffort'].flatMap((parent) => foldersIn(join(tree, this.#root, parent))),
    );
    return [...new Set(found.filter((name) => name.startsWith('pod')).map((name) => name.slice('pod'.length)))];
  }

  /**
   * Ends what runs in a pod's groups, and removes them; nothing when they are gone. Rejects when a process does not end
   * (one that waits for a device, say): then it can be tried again.
   */
  async remove(podUid: string): Promise<void> {
    for (const parent of ['', 'burstable', 'besteffort']) {
      await this.#removeGroup(join(this.#root, parent, `pod${checked(podUid)}`));
    }
    // Nothing waits in it: nobody of this process can be making a pod below them meanwhile.
    this.close();
    this.#balance();
  }

  /** Ends and removes one container's group: what a runtime that was killed has left. */
  removeContainer(path: string): Promise<void> {
    return this.#removeGroup(path);
  }

  async #removeGroup(path: string): Promise<void> {
    const folders = this.hierarchy.trees.map((tree) => join(tree, path));
    for (let waitMs = 1; folders.some(existsSync); waitMs *= 2) {
      for (const folder of folders) {
        killAll(folder);
        tryToRemove(folder);
      }
      if (!folders.some(existsSync)) return;
      // Killed processes leave their group when the kernel is done with them.
      if (waitMs > 4096) throw new Error(`the control group ${path} cannot be removed: processes in it do not end`);
      await sleep(this.#clock, waitMs);
    }
  }

  #make(path: string): void {
    const { hierarchy } = this;
    if (hierarchy.version === 1) {
      for (const tree of new Set(Object.values(hierarchy.mounts))) mkdirSync(join(tree, path), { recursive: true });
      // In the others only the runtime has something to do: but a parent that is empty could be taken away meanwhile.
      for (const tree of hierarchy.trees) makeIfAllowed(join(tree, path));
      return;
    }
    const tree = hierarchy.trees[0] ?? '';
    // A group has the controllers that its parent hands down.
    let parent = hierarchy.base;
    for (const part of path.slice(hierarchy.base === '/' ? 1 : hierarchy.base.length + 1).split('/')) {
      const available = (readText(join(tree, parent), 'cgroup.controllers') ?? '').trim().split(/\s+/);
      for (const name of controllers) {
        if (available.includes(name)) writeFileSync(join(tree, parent, 'cgroup.subtree_control'), `+${name}`);
      }
      parent = join(parent, part);
      mkdirSync(join(tree, parent), { recursive: true });
    }
  }

  #set(path: string, { cpu, memory }: Resources): void {
    if (this.hierarchy.version === 1) {
      this.#write('cpu', path, 'cpu.shares', String(cpu.shares));
      if (cpu.quota !== undefined) {
        this.#write('cpu', path, 'cpu.cfs_period_us', String(cpu.period));
        this.#write('cpu', path, 'cpu.cfs_quota_us', String(cpu.quota));
      }
      if (memory) this.#write('memory', path, 'memory.limit_in_bytes', String(memory.limit));
      return;
    }
    this.#write('cpu', path, 'cpu.weight', String(weightOf(cpu.shares)));
    if (cpu.quota !== undefined) this.#write('cpu', path, 'cpu.max', `${cpu.quota} ${cpu.period}`);
    if (memory) this.#write('memory', path, 'memory.max', String(memory.limit));
  }

  /** The parents' shares: of burstable pods what they ask for together, of the others the least. */
  #balance(): void {
    const cpu = this.hierarchy.mounts.cpu;
    if (cpu === undefined) return;
    const file = this.hierarchy.version === 1 ? 'cpu.shares' : 'cpu.weight';
    const burstable = join(this.#root, 'burstable');
    const asked = foldersIn(join(cpu, burstable)).map((pod) => readNumber(join(cpu, burstable, pod), file) ?? 0);
    const sum = asked.reduce((total, each) => total + each, 0);
    const [least, most] = this.hierarchy.version === 1 ? [2, 262_144] : [1, 10_000];
    this.#write('cpu', burstable, file, String(Math.min(most, Math.max(least, sum))));
    this.#write('cpu', join(this.#root, 'besteffort'), file, String(least));
  }

  /** A controller that the machine has not got limits nothing; a group that is not there needs no limit. */
  #write(controller: Controller, path: string, file: string, text: string): void {
    const target = join(this.#at(controller, path) ?? '', file);
    if (existsSync(target)) writeFileSync(target, text);
  }

  #at(controller: Controller, path: string): string | undefined {
    const tree = this.hierarchy.mounts[controller];
    return tree === undefined ? undefined : join(tree, path);
  }
}

/** Names come from the API, and become folders. */
function checked(name: string): string {
  assert(/^[a-zA-Z0-9][a-zA-Z0-9.-]*$/.test(name) && name.length <= 253, `${name} can be a group's name`);
  return name;
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((each) => each.isDirectory()).map(({ name }) => name);
  } catch {
    return []; // Gone, or never there.
  }
}

function processesBelow(folder: string): number[] {
  const own = (readText(folder, 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number);
  return [...own, ...foldersIn(folder).flatMap((name) => processesBelow(join(folder, name)))];
}

/** Nothing new starts in the group, and what is there is killed: a fork bomb, too, which outruns any list. */
function killAll(folder: string): void {
  for (const name of foldersIn(folder)) killAll(join(folder, name));
  const write = (file: string, text: string) => {
    if (!existsSync(join(folder, file))) return false;
    try {
      writeFileSync(join(folder, file), text);
      return true;
    } catch {
      return false; // The group went meanwhile, or the kernel is too old for this file.
    }
  };
  write('pids.max', '0');
  if (write('cgroup.kill', '1')) return;
  for (const pid of (readText(folder, 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number)) {
    // 0 is a process of another PID namespace than ours: as a number to kill it would mean ourselves.
    if (pid <= 1 || pid === process.pid) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

function makeIfAllowed(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    if (!['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** With the groups in it: none of them has a process any more, or it stays. */
function tryToRemove(folder: string): void {
  for (const name of foldersIn(folder)) tryToRemove(join(folder, name));
  removeEmpty(folder);
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It has processes or groups in it, or is gone: whoever waits for it looks again.
  }
}
