import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pod } from '../../../../../api/core/pod.ts';
import type { PodSpec } from '../../../../../api/core/pod-spec.ts';
import { systemClock } from '../../../../../lib/clock.ts';
import { silentLogger } from '../../../../../observe/log.ts';
import type { ContainerOnNode, Driver, RunningContainer, Sandbox } from '../../../driver.ts';
import { findHierarchy } from '../cgroups/hierarchy.ts';
import { containerDriver, nodeId } from '../index.ts';
import { missingForContainers } from '../support.ts';
import { hostImage } from './host-image.ts';

/** Why no container can run here; false when one can. */
export const noContainers: string | false = missingForContainers()?.what ?? false;

const never = new AbortController().signal;

/** Container drivers on a folder of their own, whose pods have only a loopback. */
export class TestDriver {
  readonly dir = mkdtempSync(join(tmpdir(), 'kittiwake-containers-'));
  readonly image = hostImage(join(this.dir, 'image'));
  readonly #opened: Driver[] = [];
  driver: Driver = this.open();

  open(): Driver {
    const shared = { clock: systemClock, log: silentLogger, address: '127.0.0.1' };
    const made = containerDriver({ ...shared, dataDir: join(this.dir, 'node') });
    this.#opened.push(made);
    return made;
  }

  /** Another driver in the place of the one that there was, which is gone without a word. */
  async reopen(): Promise<Sandbox[]> {
    this.driver = this.open();
    return this.driver.recover();
  }

  pod(uid: string, spec: Partial<PodSpec> = {}): Pod {
    const metadata = { name: uid, namespace: 'default', uid };
    return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ name: 'c' }], ...spec } };
  }

  sandbox(uid: string, spec?: Partial<PodSpec>): Promise<Sandbox> {
    return this.driver.sandbox(this.pod(uid, spec), never);
  }

  start(sandbox: Sandbox, script: string, more: Partial<ContainerOnNode> = {}): Promise<RunningContainer> {
    const { podUid } = sandbox;
    const { name = 'c' } = more.spec ?? {};
    const container: ContainerOnNode = {
      id: { podUid, container: name, restart: 0 },
      spec: { name },
      image: this.image,
      argv: ['/bin/sh', '-c', script],
      workingDir: '/',
      environment: {},
      mounts: [],
      logPath: this.logPath(podUid, name),
      ...more,
    };
    return sandbox.start(container, never);
  }

  logPath(podUid: string, container = 'c'): string {
    return join(this.dir, 'logs', `${podUid}.${container}`);
  }

  log(podUid: string, container = 'c'): string {
    return readFileSync(this.logPath(podUid, container), 'utf8');
  }

  /** What of this node's pods the machine has: mounts, control groups, processes, files. */
  leftovers(): string[] {
    const node = join(this.dir, 'node', 'containers');
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    const found = findHierarchy();
    const trees = 'missing' in found ? [] : found.hierarchy.trees;
    const id = nodeId(node);
    const groups = trees.flatMap((tree) => foldersBelow(join(tree, `kittiwake-${id}`)));
    const processes = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).split('\n');
    const files = ['pods', 'namespaces', 'runtime', 'started'].flatMap((name) =>
      readdirSync(join(node, name)).map((each) => `${name}/${each}`),
    );
    return [
      ...mounts.filter((line) => line.includes(`${node}/namespaces/`)),
      // Those of the classes have no pods of their own: they go with the next pod.
      ...groups.filter((path) => !/\/(burstable|besteffort)$/.test(path)),
      ...processes.filter((line) => line.includes(node)),
      ...files,
    ];
  }

  /** Ends all that is left, and the folder with it. */
  async close(): Promise<void> {
    const last = this.open();
    for (const sandbox of await last.recover()) await sandbox.remove();
    for (const driver of this.#opened.splice(0)) await driver.close();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

function foldersBelow(path: string): string[] {
  try {
    const folders = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return folders.flatMap(({ name }) => [join(path, name), ...foldersBelow(join(path, name))]);
  } catch {
    return []; // There are none, or they have gone meanwhile.
  }
}
