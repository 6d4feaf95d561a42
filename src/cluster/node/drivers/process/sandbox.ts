import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Container } from '../../../../api/core/pod-spec.ts';
import { bootId } from '../../../../lib/boot-id.ts';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { isRunning } from '../../../../lib/process-identity.ts';
import { endProgram } from '../../../../lib/processes.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { ContainerOnNode, PodAddresses, PortMap, RunningContainer, Sandbox } from '../../driver.ts';
import { StartError } from '../../driver.ts';
import { nodeErrors } from '../../errors.ts';
import type { Files } from '../../images/files.ts';
import { pidPath, readClaim, revoke } from '../claims.ts';
import { drained, establishedTo } from '../connections.ts';
import { hasInput, makeInput, type ProgramInput } from '../program-input.ts';
import { ProcessContainer, type ProcessContainerOptions } from './container.ts';
import { onTerminal } from './exec.ts';
import { resolveCommand, searchPath } from './executable.ts';
import { folderInside, mountInside } from './inside.ts';
import { notesOn } from './isolation.ts';
import { type ContainerRecord, launcher, readRecord, writeRecord } from './record.ts';
import { isTempFolder, makeTempFolder, tempFolderPath } from './temp-folder.ts';
import type { WorkingCopies } from './working-copies.ts';

export interface ProcessSandboxOptions {
  podUid: string;
  /** The pod's folder: its containers' records and working copies. */
  dir: string;
  /** The host's, which pods share. */
  address: string;
  copies: WorkingCopies;
  files: Files;
  clock: Clock;
  log: Logger;
  /** The driver has been closed: what cannot be removed now is the next one's. */
  isClosed(): boolean;
  /** It is gone, and its ports are free again. */
  onRemoved(): void;
}

/** A claim that is not whole after this long was never finished: its process died over it. */
const claimPatienceMs = 500;

/** A pod as a folder of the node and processes of the host, with some of the host's ports. */
export class ProcessSandbox implements Sandbox {
  readonly podUid: string;
  readonly bringsRuntimes = true;
  /** Undefined until it has some: of what an earlier agent left, nothing may run any more. */
  ports: PortMap | undefined;
  readonly #options: ProcessSandboxOptions;
  readonly #running = new Set<ProcessContainer>();
  #isRemoved = false;

  constructor(options: ProcessSandboxOptions) {
    this.podUid = options.podUid;
    this.#options = options;
  }

  get addresses(): PodAddresses {
    return { ips: [this.#options.address], ports: this.ports ?? {} };
  }

  get containers(): RunningContainer[] {
    return [...this.#running];
  }

  async start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer> {
    const { dir, copies } = this.#options;
    const { id, image, spec } = container;
    const place = join(dir, id.container);
    await copies.take(image, place);
    const input = hasInput(spec) ? await makeInput(`${place}.stdin`, spec) : undefined;
    try {
      return await this.#start(container, input, signal);
    } catch (error) {
      if (input?.heldFd !== undefined) closeSync(input.heldFd);
      throw error;
    } finally {
      if (input) closeSync(input.fd);
    }
  }

  async #start(
    container: ContainerOnNode,
    input: ProgramInput | undefined,
    signal: AbortSignal,
  ): Promise<RunningContainer> {
    const { dir, clock, copies } = this.#options;
    const { id, image, logPath } = container;
    const place = join(dir, id.container);
    signal.throwIfAborted(); // From here to the spawn nothing waits.

    const root = join(place, 'root');
    for (const mount of container.mounts) mountInside(root, mount);
    const cwd = folderInside(root, container.workingDir);
    const search = { root, cwd, path: container.environment.PATH };
    const resolved = resolveCommand(container.argv, search);
    const environment: Record<string, string> = {
      HOME: join(place, 'home'),
      ...container.environment,
      ...copies.compileCaches.environment(image.digest, place, container.environment),
      PATH: searchPath(search).join(':'),
      KITTIWAKE_ROOT: root,
      KITTIWAKE_CONTAINER: place,
    };
    const hasTerminal = container.spec.tty === true;
    const command = hasTerminal ? onTerminal(resolved, environment) : resolved;
    const startedAtMs = clock.now();
    const imageDigest = image.digest;
    const ports = this.ports ?? {};
    mkdirSync(dirname(logPath), { recursive: true });
    this.#removeTemp(readRecord(dir, this.podUid, id.container)); // Of the start before this one.
    const record = withTemp(place, (temp) => {
      environment.TMPDIR = temp || join(place, 'tmp');
      const started = { id, ports, logPath, startedAtMs, imageDigest, environment, cwd, temp, bootId: bootId() };
      const written = { ...started, ...(input && { inputPath: input.path }), ...(hasTerminal && { hasTerminal }) };
      writeRecord(dir, written);
      return written;
    });

    const output = openSync(logPath, 'a', 0o600);
    try {
      const args = ['-c', launcher, pidPath(dir, id), ...throughTheShell(command, environment)];
      // script takes its shell from SHELL.
      const env = hasTerminal ? { ...environment, SHELL: '/bin/sh' } : environment;
      const child = launch(args, { cwd, env, detached: true, stdio: [input?.fd ?? 'ignore', output, output] });
      const { pid } = child;
      if (pid === undefined) throw await failureOf(child, command[0] ?? '');
      return this.#follow(record, { pid, child }, input?.heldFd);
    } finally {
      closeSync(output);
    }
  }

  notesOn(container: Container): string[] {
    return notesOn(container);
  }

  exitOf(): undefined {
    return undefined; // Its parent was the agent.
  }

  async forward(port: number): Promise<Duplex> {
    const { ips, ports } = this.addresses;
    const hostPort = ports[port];
    // Any other port of the host may be anybody's.
    if (hostPort === undefined) throw nodeErrors.POD_PORT_UNKNOWN({ port, pod: this.podUid });
    const socket = connect({ host: ips[0], port: hostPort, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  drained(signal: AbortSignal): Promise<void> {
    const ports = Object.values(this.addresses.ports);
    if (ports.length === 0) return Promise.resolve();
    return drained(() => establishedTo(ports), this.#options.clock, signal);
  }

  async remove(): Promise<void> {
    const { dir, copies, onRemoved } = this.#options;
    if (this.#isRemoved) return; // What is there now is not its own.
    for (const container of await this.#containersOnDisk()) {
      const record = readRecord(dir, this.podUid, container);
      const isOurs = record !== undefined && record.bootId === bootId();
      const claim = !isOurs || revoke(dir, record.id) ? undefined : readClaim(dir, record.id);
      const runs = claim !== undefined && claim !== 'revoked' && isRunning(claim);
      if (runs || !isOurs) await endProgram({ group: runs ? claim.pid : undefined, mark: this.#markOf(container) });
      else copies.recycle(record.imageDigest, join(dir, container));
      this.#removeTemp(record);
    }
    copies.discard(dir);
    await rm(dir, { recursive: true, force: true });
    if (!this.#isRemoved) onRemoved();
    this.#isRemoved = true;
  }

  /** Finds again what runs of it; what was half started is found, or will never run. */
  async adopt(): Promise<void> {
    for (const container of await this.#containersOnDisk()) {
      try {
        await this.#adopt(container);
      } catch (error) {
        const reason = messageOf(error);
        this.#options.log.warn({ pod: this.podUid, container, reason }, 'a container could not be found again');
      }
    }
  }

  async #adopt(container: string): Promise<void> {
    const { dir, clock, log } = this.#options;
    const record = readRecord(dir, this.podUid, container);
    if (!record) {
      log.warn({ pod: this.podUid, container }, 'the record of a container is damaged: what runs of it is ended');
    } else if (record.bootId === bootId() && !revoke(dir, record.id)) {
      let claim = readClaim(dir, record.id);
      for (let waited = 0; claim === undefined && waited < claimPatienceMs; waited += 10) {
        await sleep(clock, 10);
        claim = readClaim(dir, record.id);
      }
      if (claim !== undefined && claim !== 'revoked' && isRunning(claim)) {
        this.ports ??= record.ports;
        this.#follow(record, { pid: claim.pid, adopted: claim });
        return;
      }
    }
    // The program is gone; what it started may not be.
    await endProgram({ mark: this.#markOf(container) });
  }

  #follow(record: ContainerRecord, process: ProcessContainerOptions['process'], heldInput?: number): RunningContainer {
    const { dir, copies, clock, log } = this.#options;
    const { container } = record.id;
    const onEnded = () => {
      this.#running.delete(running);
      this.#removeTemp(record);
      copies.harvest(record.imageDigest, join(dir, container));
    };
    const running = new ProcessContainer({
      ...{ record, process, heldInput, clock, log, onEnded },
      mark: this.#markOf(container),
    });
    this.#running.add(running);
    return running;
  }

  /** The containers that have a record. */
  async #containersOnDisk(): Promise<string[]> {
    const names = await readdir(this.#options.dir).catch(() => [] as string[] /* nothing of it on disk */);
    return names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  }

  /** Tells the processes of one container of this node from all others, by a variable in their environment. */
  #markOf(container: string): string {
    return `KITTIWAKE_CONTAINER=${join(this.#options.dir, container)}`;
  }

  #removeTemp(record: ContainerRecord | undefined): void {
    const { files, isClosed, log } = this.#options;
    // After the driver is closed it stays for the next one, which finds it by the record.
    if (!record || isClosed() || !isTempFolder(record.temp)) return;
    files
      .remove(record.temp)
      .catch((error) => log.warn({ path: record.temp, reason: messageOf(error) }, 'a temporary folder stays'));
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
