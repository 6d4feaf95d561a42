import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Pod } from '../../../../../api/core/pod.ts';
import type { Container, PodSpec } from '../../../../../api/core/pod-spec.ts';
import { systemClock } from '../../../../../lib/clock.ts';
import type { ContainerOnNode, Mount } from '../../../driver.ts';
import { Cgroups } from '../cgroups/cgroups.ts';
import { findHierarchy } from '../cgroups/hierarchy.ts';
import { hostDevices } from '../spec/devices.ts';
import { readMachine } from '../spec/machine.ts';
import type { OciSpec } from '../spec/oci.ts';
import { runtimeSpec } from '../spec/runtime-spec.ts';
import { readSeccompProfile } from '../spec/seccomp-profile.ts';
import { userOf } from '../spec/user.ts';

const isOnPath = (program: string) =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const found = process.platform === 'linux' ? findHierarchy() : { missing: 'control groups are Linux' };

/** Why no real container can be run here; false when it can. */
export const noContainers: string | false =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'needs Linux, and root'
    : !isOnPath('runc') || !isOnPath('perl')
      ? 'needs runc and perl'
      : 'missing' in found && found.missing;

export interface RunOptions {
  /** A shell's script: the machine's own programs are there, read-only. */
  script: string;
  container?: Partial<Container>;
  pod?: Partial<PodSpec>;
  imageUser?: string;
  environment?: Record<string, string>;
  mounts?: readonly Mount[];
  /** Called with the container's root before it starts: what an image could have there. */
  prepare?(rootPath: string): void;
  /** Called with the id that the OCI runtime knows it by, while it is just starting. */
  whileRunning?(id: string): void;
  /** Changes the specification: what a test takes away to see that a guard is one. */
  change?(spec: OciSpec): void;
  /** Called once while the container is kept, after its end. */
  whileKept?(path: string): void;
}

export interface RunResult {
  exitCode: number;
  stdout: string;
  stderr: string;
  outOfMemoryKills: number;
  throttledPeriods: number;
}

/** Real containers over runc, with the specification and the control groups of the driver and none of its sandbox. */
export class RealContainers {
  readonly dir = mkdtempSync(join(tmpdir(), 'kittiwake-runc-'));
  readonly cgroups: Cgroups;
  readonly passwd: Record<string, string> = {};

  constructor(podPidsMax = 200) {
    if ('missing' in found) throw new Error(found.missing);
    const id = randomUUID().slice(0, 8);
    this.cgroups = new Cgroups({ hierarchy: found.hierarchy, id, clock: systemClock, podPidsMax });
  }

  async run(options: RunOptions): Promise<RunResult> {
    const id = randomUUID();
    const container: Container = { name: 'main', image: 'test', ...options.container };
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'test', namespace: 'default', uid: id },
      spec: { containers: [container], ...options.pod },
    };
    const bundle = join(this.dir, id);
    const rootPath = join(bundle, 'root');
    mkdirSync(rootPath, { recursive: true });
    this.cgroups.open();
    const machine = readMachine(this.cgroups);
    const onNode: ContainerOnNode = {
      id: { podUid: id, container: 'main', restart: 0 },
      spec: container,
      image: { digest: '', layers: [], base: [], config: imageConfig },
      argv: ['/bin/sh', '-c', options.script],
      workingDir: '/',
      environment: options.environment ?? {},
      mounts: [...this.#systemMounts(rootPath), ...(options.mounts ?? [])],
      logPath: join(bundle, 'log'),
    };
    options.prepare?.(rootPath);
    const readFile = async (path: string) => Buffer.from(this.passwd[path] ?? '');
    const seccompProfile = await readSeccompProfile(pod, container, this.dir);
    const cgroupsPath = this.cgroups.pathOf(pod, onNode.id);
    const spec = runtimeSpec({
      pod,
      container: onNode,
      rootPath,
      user: await userOf({ pod, container, imageUser: options.imageUser ?? '', readFile }),
      namespaces: { network: '', ipc: '', uts: '' },
      hostname: 'test',
      cgroupsPath,
      hostFiles: [],
      ...(seccompProfile ? { seccompProfile } : {}),
      devices: await hostDevices(),
      isTerminal: false,
      machine,
    });
    options.change?.(spec);
    for (const namespace of spec.linux.namespaces) if (namespace.path === '') delete namespace.path;
    await writeFile(join(bundle, 'config.json'), JSON.stringify(spec));
    this.cgroups.makePod(pod);
    try {
      const ending = this.#runc(bundle, id);
      options.whileRunning?.(id);
      const output = await ending;
      options.whileKept?.(cgroupsPath);
      return {
        ...output,
        outOfMemoryKills: this.cgroups.outOfMemoryKills(cgroupsPath),
        throttledPeriods: this.cgroups.throttledPeriods(cgroupsPath),
      };
    } finally {
      execFileSync('runc', this.runtime('delete', '--force', id), { stdio: 'ignore' });
      await this.cgroups.remove(id);
    }
  }

  /** The runtime's command line for a container of these. */
  runtime(...args: string[]): string[] {
    return ['--root', join(this.dir, 'state'), ...args];
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }

  #runc(bundle: string, id: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      const args = this.runtime('run', '--keep', '--bundle', bundle, id);
      const child = execFile('runc', args, { timeout: 60_000 }, (error, stdout, stderr) => {
        const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ exitCode, stdout, stderr });
      });
      child.stdin?.end();
    });
  }

  /** The machine's programs, in a root that has nothing else. */
  #systemMounts(rootPath: string): Mount[] {
    const mounts: Mount[] = [];
    for (const path of ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/lib32']) {
      if (!existsSync(path)) continue;
      const link = linkOf(path);
      if (link === undefined) mounts.push({ source: path, path, isReadOnly: true });
      else symlinkSync(link, join(rootPath, path));
    }
    return mounts;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // A folder of its own.
  }
}

const imageConfig = {
  entrypoint: [],
  cmd: [],
  env: [],
  workingDir: '/',
  user: '',
  labels: {},
  platform: 'linux/amd64',
};
