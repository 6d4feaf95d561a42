import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import { endProgram } from '../../../../lib/processes.ts';
import { runTool, toolEnvironment } from '../tools.ts';

/** The pod's own, each by the file that keeps it. */
export interface KeptNamespaces {
  network?: string;
  ipc?: string;
  uts?: string;
  pid?: string;
}

/** How long the first process of a namespace may take to be there. */
const patienceMs = 5_000;

/** What that process alone has in its environment. */
const markOf = (path: string) => ['KITTIWAKE_PROCESSES', path] as const;

const flags = { network: '--net', ipc: '--ipc', uts: '--uts' } as const;
const names = Object.keys(flags) as (keyof typeof flags)[];

/**
 * Namespaces of pods, kept by mounts on files and by no process:
 *
 *     namespaces/        a mount of its own, and shared: what is unmounted here is unmounted in the private mount
 *       UID.network      namespace of each container, too, and so is gone
 *       UID.ipc  UID.uts  UID.pid  UID.shm/  UID.memory.VOLUME/
 */
export class Namespaces {
  readonly #dir: string;
  readonly #clock: Clock;
  #isShared = false;
  #sharing: Promise<void> = Promise.resolve();

  constructor(dir: string, clock: Clock) {
    this.#dir = dir;
    this.#clock = clock;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  /** Makes those that the pod does not share with the machine, with its loopback up. */
  async make(podUid: string, own: Record<keyof KeptNamespaces, boolean>, signal: AbortSignal): Promise<KeptNamespaces> {
    const wanted = names.filter((name) => own[name]);
    await this.#share();
    const kept: KeptNamespaces = own.pid ? { pid: await this.#makeProcesses(podUid, signal) } : {};
    if (wanted.length === 0) return kept;
    for (const name of wanted) {
      const path = join(this.#dir, `${podUid}.${name}`);
      writeFileSync(path, '');
      kept[name] = path;
    }
    const options = wanted.map((name) => `${flags[name]}=${kept[name]}`);
    const first = own.network ? ['ip', 'link', 'set', 'lo', 'up'] : ['true'];
    await runTool('unshare', [...options, ...first], signal);
    return kept;
  }

  /**
   * Of processes that a pod's containers see together, some process must be the first, and take over those that lose
   * their parent: here a shell that waits. It stays as long as the namespace is to.
   */
  async #makeProcesses(podUid: string, signal: AbortSignal): Promise<string> {
    const path = join(this.#dir, `${podUid}.pid`);
    writeFileSync(path, '');
    const [name, value] = markOf(path);
    const args = [`--pid=${path}`, '--fork', '/bin/sh', '-c', 'while :; do sleep 2147483647 & wait; done'];
    const options = { env: { ...toolEnvironment, [name]: value }, detached: true, stdio: 'ignore' } as const;
    const child = spawn('unshare', args, options);
    child.on('error', () => {}); // The file stays what it is: said below.
    const isThere = () => statSync(path).dev !== statSync(this.#dir).dev;
    for (let waitedMs = 0; !isThere(); waitedMs += 2) {
      signal.throwIfAborted();
      if (child.pid === undefined || child.exitCode !== null || waitedMs > patienceMs) {
        throw new Error('unshare: the pod gets no namespace of processes');
      }
      await sleep(this.#clock, 2);
    }
    child.kill('SIGKILL'); // Itself, which only waits; what it has started is the first of the namespace, and stays.
    return path;
  }

  /** A tmpfs of the pod, in which its containers share memory. */
  async makeSharedMemory(podUid: string, signal: AbortSignal): Promise<string> {
    await this.#share();
    const path = join(this.#dir, `${podUid}.shm`);
    mkdirSync(path, { recursive: true });
    const options = 'nosuid,nodev,noexec,mode=1777,size=65536k';
    await runTool('mount', ['-t', 'tmpfs', '-o', options, 'shm', path], signal);
    return path;
  }

  /** A tmpfs of the pod, by its name, made once; of `sizeBytes`, or half of the machine's memory. */
  async makeMemory(podUid: string, name: string, sizeBytes: number | undefined): Promise<string> {
    await this.#share();
    const path = join(this.#dir, `${podUid}.memory.${name}`);
    if (mountPoints().has(path)) return path;
    mkdirSync(path, { recursive: true });
    const options = ['nosuid', 'nodev', 'mode=0777', ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`])];
    await runTool('mount', ['-t', 'tmpfs', '-o', options.join(','), 'memory', path]);
    return path;
  }

  /** Frees what a pod has here; nothing when that is nothing. Rejects when something stays. */
  async remove(podUid: string): Promise<void> {
    const paths = this.#entries()
      .filter((name) => name.startsWith(`${podUid}.`))
      .map((name) => join(this.#dir, name));
    if (paths.length === 0) return;
    for (const path of paths.filter((each) => each.endsWith('.pid'))) {
      await endProgram({ mark: markOf(path).join('=') });
    }
    try {
      // Lazily: a runtime that is just ending may still have one open. It goes as soon as that is over.
      await runTool('umount', ['-l', ...paths]);
    } catch (error) {
      const mounted = mountPoints(); // Nothing, after a reboot.
      if (paths.some((path) => mounted.has(path))) throw error;
    }
    for (const path of paths) rmSync(path, { recursive: true, force: true });
  }

  /** The pods that have anything here. */
  podUids(): string[] {
    return this.#entries().map((name) => name.split('.')[0] ?? '');
  }

  /** Unmounts the folder itself when no pod has anything in it. */
  async close(): Promise<void> {
    this.#isShared = false;
    // What was unmounted in it lazily holds it for a moment longer; a pod that somebody makes meanwhile, for good.
    for (let waitMs = 1; waitMs < 1_000; waitMs *= 2) {
      if (this.#entries().length > 0 || !mountPoints().has(this.#dir)) return;
      await runTool('umount', [this.#dir]).catch(() => sleep(this.#clock, waitMs));
    }
  }

  /** One after the other: two mounts at once would lie one upon the other. */
  #share(): Promise<void> {
    this.#sharing = this.#sharing.catch(() => {}).then(() => this.#shareNow()); // Each says its own failure.
    return this.#sharing;
  }

  async #shareNow(): Promise<void> {
    // Another driver on this folder may have unmounted it while no pod was in it.
    if (this.#isShared && this.#entries().length > 0) return;
    if (!mountPoints().has(this.#dir)) await runTool('mount', ['--bind', this.#dir, this.#dir]);
    // Also when it was there: an agent may have died in between.
    await runTool('mount', ['--make-shared', this.#dir]);
    this.#isShared = true;
  }

  #entries(): string[] {
    return readdirSync(this.#dir);
  }
}

/** Of the mounts that this process sees. */
function mountPoints(): Set<string> {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const octal = (_: string, code: string) => String.fromCharCode(Number.parseInt(code, 8));
  return new Set(lines.map((line) => (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, octal)));
}
