import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { ContainerOnNode, Driver, RunningContainer } from '../../driver.ts';
import { StartError } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import { ProcessContainer, type ProcessContainerOptions } from './container.ts';
import { resolveCommand, searchPath } from './executable.ts';
import { isRunning, killMarked, signalGroup } from './identity.ts';
import { folderInside, mountInside } from './inside.ts';
import { missingIsolation, notesOn } from './isolation.ts';
import { type ContainerRecord, launcher, pidPath, readClaim, readRecord, revoke, writeRecord } from './record.ts';
import { WorkingCopies } from './working-copies.ts';

export interface ProcessDriverOptions {
  /** The node's folder: `pods/`, `spares/` and `trash/` are in it. */
  dataDir: string;
  clock: Clock;
  log: Logger;
}

/** A claim that is not whole after this long was never finished: its process died over it. */
const claimPatienceMs = 500;

/**
 * Containers as plain processes of the host: each a process group with a working copy of the image's root as its
 * folder. Needs no rights and nothing installed; keeps programs apart from each other's files and ports, not from
 * those of the user that runs the agent (`missingIsolation`).
 */
export function processDriver(options: ProcessDriverOptions): Driver {
  const { clock } = options;
  const log = options.log.child({ driver: 'process' });
  const pods = join(options.dataDir, 'pods');
  mkdirSync(pods, { recursive: true });
  const files = new Files(clock);
  const copies = new WorkingCopies({ dir: options.dataDir, files, clock, log });
  const podDirOf = (uid: string) => join(pods, uid);
  /** Tells the processes of one container of this node from all others, by a variable in their environment. */
  const markerOf = (uid: string, container: string) => `KITTIWAKE_CONTAINER=${join(podDirOf(uid), container)}`;

  return {
    name: 'process',
    network: 'host',
    missingIsolation: missingIsolation(),
    notesOn,
    prepare: (image) => copies.prepare(image),
    start,
    recover,
    removePod,
    podsOnDisk: () => readdir(pods),
    keepPrepared: (digests) => copies.keep(digests),
    async close() {
      await copies.close();
      await files.close();
    },
  };

  async function start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer> {
    const { id, image, ports, logPath } = container;
    const podDir = podDirOf(id.podUid);
    const place = join(podDir, id.container);
    await copies.take(image, place);
    signal.throwIfAborted(); // From here to the spawn nothing waits.

    const root = join(place, 'root');
    for (const mount of container.mounts) mountInside(root, mount);
    const cwd = folderInside(root, container.workingDir);
    const search = { root, cwd, path: container.environment.PATH };
    const command = resolveCommand(container.argv, search);
    const environment = {
      HOME: join(place, 'home'),
      ...container.environment,
      ...copies.compileCaches.environment(image.digest, place, container.environment),
      PATH: searchPath(search).join(':'),
      TMPDIR: join(place, 'tmp'),
      KITTIWAKE_ROOT: root,
      KITTIWAKE_CONTAINER: place,
    };
    const startedAtMs = clock.now();
    const record: ContainerRecord = { id, ports, logPath, startedAtMs, imageDigest: image.digest, environment, cwd };
    mkdirSync(dirname(logPath), { recursive: true });
    writeRecord(podDir, record);

    const output = openSync(logPath, 'a', 0o600);
    try {
      const args = ['-c', launcher, pidPath(podDir, id), ...throughTheShell(command, environment)];
      const child = spawn('/bin/sh', args, {
        cwd,
        env: environment,
        detached: true,
        stdio: ['ignore', output, output],
      });
      const { pid } = child;
      if (pid === undefined) throw await failureOf(child, command[0] ?? '');
      return follow(record, { pid, child });
    } finally {
      closeSync(output);
    }
  }

  function follow(record: ContainerRecord, process: ProcessContainerOptions['process']): RunningContainer {
    const { podUid, container } = record.id;
    const place = join(podDirOf(podUid), container);
    const onEnded = () => copies.harvest(record.imageDigest, place);
    return new ProcessContainer({ record, process, marker: markerOf(podUid, container), clock, log, onEnded });
  }

  async function recover(): Promise<RunningContainer[]> {
    const found: RunningContainer[] = [];
    for (const uid of await readdir(pods)) {
      for (const name of await readdir(podDirOf(uid))) {
        if (!name.endsWith('.json')) continue;
        const record = readRecord(join(podDirOf(uid), name));
        const container = record && (await adopt(uid, record));
        if (container) found.push(container);
      }
    }
    log.info({ containers: found.length }, 'containers found again');
    return found;
  }

  async function adopt(podUid: string, record: ContainerRecord): Promise<RunningContainer | undefined> {
    const podDir = podDirOf(podUid);
    const marker = markerOf(podUid, record.id.container);
    if (!revoke(podDir, record.id)) {
      let claim = readClaim(podDir, record.id);
      for (let waited = 0; claim === undefined && waited < claimPatienceMs; waited += 10) {
        await sleep(clock, 10);
        claim = readClaim(podDir, record.id);
      }
      if (claim !== undefined && claim !== 'revoked' && isRunning(claim)) {
        return follow(record, { pid: claim.pid, adopted: claim });
      }
    }
    // The program is gone; what it started may not be.
    await killMarked(marker);
    return undefined;
  }

  async function removePod(podUid: string): Promise<void> {
    const podDir = podDirOf(podUid);
    for (const name of await readdir(podDir).catch(() => [] as string[] /* nothing of it on disk */)) {
      if (!name.endsWith('.json')) continue;
      const record = readRecord(join(podDir, name));
      if (!record) continue;
      const claim = revoke(podDir, record.id) ? undefined : readClaim(podDir, record.id);
      if (claim !== undefined && claim !== 'revoked' && isRunning(claim)) signalGroup(claim.pid, 'SIGKILL');
      else copies.recycle(record.imageDigest, join(podDir, record.id.container));
    }
    copies.discard(podDir);
    await rm(podDir, { recursive: true, force: true });
  }
}

/** A shell drops variables whose names it could not use itself, such as `my.setting`: env hands them over. */
function throughTheShell(command: readonly string[], environment: Readonly<Record<string, string>>): string[] {
  const odd = Object.entries(environment).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return odd.length === 0 ? [...command] : ['env', ...odd.map(([name, value]) => `${name}=${value}`), ...command];
}

function failureOf(child: ReturnType<typeof spawn>, program: string): Promise<StartError> {
  return new Promise((resolve) => {
    child.once('error', (error) =>
      resolve(
        new StartError('CreateContainerError', `${program} could not be started: ${error.message}`, { cause: error }),
      ),
    );
  });
}
