import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { killMarked, signalGroup } from '../../../../lib/processes.ts';
import type { Logger } from '../../../../observe/log.ts';
import { bootId } from '../../boot-id.ts';
import type { ContainerOnNode, Driver, RunningContainer } from '../../driver.ts';
import { StartError } from '../../driver.ts';
import { Files } from '../../images/files.ts';
import { ProcessContainer, type ProcessContainerOptions } from './container.ts';
import { resolveCommand, searchPath } from './executable.ts';
import { isRunning } from './identity.ts';
import { folderInside, mountInside } from './inside.ts';
import { missingIsolation, notesOn } from './isolation.ts';
import { type ContainerRecord, launcher, pidPath, readClaim, readRecord, revoke, writeRecord } from './record.ts';
import { isTempFolder, makeTempFolder, tempFolderPath } from './temp-folder.ts';
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
  let isClosed = false;
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
    podsOnDisk,
    keepPrepared: (digests) => copies.keep(digests),
    async close() {
      isClosed = true;
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
    const environment: Record<string, string> = {
      HOME: join(place, 'home'),
      ...container.environment,
      ...copies.compileCaches.environment(image.digest, place, container.environment),
      PATH: searchPath(search).join(':'),
      KITTIWAKE_ROOT: root,
      KITTIWAKE_CONTAINER: place,
    };
    const startedAtMs = clock.now();
    const imageDigest = image.digest;
    mkdirSync(dirname(logPath), { recursive: true });
    removeTemp(readRecord(podDir, id.podUid, id.container)); // Of the start before this one.
    const record = withTemp(place, (temp) => {
      environment.TMPDIR = temp || join(place, 'tmp');
      const written = { id, ports, logPath, startedAtMs, imageDigest, environment, cwd, temp, bootId: bootId() };
      writeRecord(podDir, written);
      return written;
    });

    const output = openSync(logPath, 'a', 0o600);
    try {
      const args = ['-c', launcher, pidPath(podDir, id), ...throughTheShell(command, environment)];
      const child = launch(args, { cwd, env: environment, detached: true, stdio: ['ignore', output, output] });
      const { pid } = child;
      if (pid === undefined) throw await failureOf(child, command[0] ?? '');
      return follow(record, { pid, child });
    } finally {
      closeSync(output);
    }
  }

  /** Makes the start's temporary folder, which the record names before it is there: so it is always found again. */
  function withTemp(place: string, write: (temp: string) => ContainerRecord): ContainerRecord {
    for (;;) {
      const temp = tempFolderPath();
      const record = write(temp ?? '');
      if (makeTempFolder(temp ?? join(place, 'tmp'))) return record;
    }
  }

  function removeTemp(record: ContainerRecord | undefined): void {
    // After the driver is closed it stays for the next one, which finds it by the record.
    if (!record || isClosed || !isTempFolder(record.temp)) return;
    files
      .remove(record.temp)
      .catch((error) => log.warn({ path: record.temp, reason: messageOf(error) }, 'a temporary folder stays'));
  }

  function follow(record: ContainerRecord, process: ProcessContainerOptions['process']): RunningContainer {
    const { podUid, container } = record.id;
    const place = join(podDirOf(podUid), container);
    const onEnded = () => {
      removeTemp(record);
      copies.harvest(record.imageDigest, place);
    };
    return new ProcessContainer({ record, process, marker: markerOf(podUid, container), clock, log, onEnded });
  }

  async function recover(): Promise<RunningContainer[]> {
    const found: RunningContainer[] = [];
    for (const uid of await podsOnDisk()) {
      for (const name of await containersOf(uid)) {
        try {
          const container = await adopt(uid, name);
          if (container) found.push(container);
        } catch (error) {
          log.warn({ pod: uid, container: name, reason: messageOf(error) }, 'a container could not be found again');
        }
      }
    }
    log.info({ containers: found.length }, 'containers found again');
    return found;
  }

  async function podsOnDisk(): Promise<string[]> {
    const entries = await readdir(pods, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  /** The containers of a pod that have a record. */
  async function containersOf(uid: string): Promise<string[]> {
    const names = await readdir(podDirOf(uid)).catch(() => [] as string[] /* nothing of it on disk */);
    return names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  }

  async function adopt(podUid: string, container: string): Promise<RunningContainer | undefined> {
    const podDir = podDirOf(podUid);
    const record = readRecord(podDir, podUid, container);
    if (!record) log.warn({ pod: podUid, container }, 'the record of a container is damaged: what runs of it is ended');
    else if (record.bootId === bootId() && !revoke(podDir, record.id)) {
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
    await killMarked(markerOf(podUid, container));
    return undefined;
  }

  async function removePod(podUid: string): Promise<void> {
    const podDir = podDirOf(podUid);
    for (const container of await containersOf(podUid)) {
      const record = readRecord(podDir, podUid, container);
      const isOurs = record !== undefined && record.bootId === bootId();
      const claim = !isOurs || revoke(podDir, record.id) ? undefined : readClaim(podDir, record.id);
      if (claim !== undefined && claim !== 'revoked' && isRunning(claim)) signalGroup(claim.pid, 'SIGKILL');
      else if (isOurs) copies.recycle(record.imageDigest, join(podDir, container));
      else await killMarked(markerOf(podUid, container));
      removeTemp(record);
    }
    copies.discard(podDir);
    await rm(podDir, { recursive: true, force: true });
  }
}

/** What cannot even be tried (too many arguments, a NUL in one) is a failure of this start, in words. */
function launch(args: readonly string[], options: SpawnOptions): ChildProcess {
  try {
    return spawn('/bin/sh', args, options);
  } catch (error) {
    throw new StartError('CreateContainerError', `the program could not be started: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** A shell drops variables whose names it could not use itself, such as `my.setting`: env hands them over. */
function throughTheShell(command: readonly string[], environment: Readonly<Record<string, string>>): string[] {
  const odd = Object.entries(environment).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return odd.length === 0 ? [...command] : ['env', ...odd.map(([name, value]) => `${name}=${value}`), ...command];
}

function failureOf(child: ChildProcess, program: string): Promise<StartError> {
  return new Promise((resolve) => {
    child.once('error', (error) =>
      resolve(
        new StartError('CreateContainerError', `${program} could not be started: ${error.message}`, { cause: error }),
      ),
    );
  });
}
