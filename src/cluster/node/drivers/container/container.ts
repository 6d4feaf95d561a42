import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { isRunning, type ProcessIdentity, startOf } from '../../../../lib/process-identity.ts';
import { childrenOf, endProgram, signalGroup } from '../../../../lib/processes.ts';
import type { Logger } from '../../../../observe/log.ts';
import type {
  ContainerExit,
  ContainerId,
  ContainerStats,
  RunningContainer,
  Streams,
  StreamsWanted,
} from '../../driver.ts';
import { attachTo } from '../attach.ts';
import { resizerOf, type TerminalSize } from '../terminal.ts';
import type { Arrivals } from './arrivals.ts';
import type { Cgroups } from './cgroups/cgroups.ts';
import { execIn } from './exec.ts';
import type { OciRuntime } from './oci-runtime.ts';
import { upperOf } from './overlay.ts';
import { type ContainerRecord, readExit } from './record.ts';
import { isOfRuntime, pidIn, send } from './started.ts';

/** How often the shell over a container, of which an earlier agent was the parent, is looked after. */
const adoptedPollMs = 100;

/** How long the runtime's process may take to become the program, and how often that is looked at. */
const becomingMs = 10_000;
const lookAgainMs = 2;

/** What the containers of a node share. */
export interface Machinery {
  runtime: OciRuntime;
  cgroups: Cgroups;
  started: Arrivals;
  clock: Clock;
  log: Logger;
}

export interface OciContainerOptions extends Machinery {
  record: ContainerRecord;
  /** Its folder. */
  place: string;
  /** The shell over it (launch.ts). */
  monitor: ProcessIdentity;
  /** There when this agent has started it. */
  child?: ChildProcess;
  /** Of a program whose input ends with the first who attaches: what keeps it open until then. */
  heldInput?: number | undefined;
  /** The pod's processes see each other: to end this one is not to end what it has started. */
  sharesProcesses: boolean;
  /** Called when nothing of it runs any more, before `exited` resolves. */
  onEnded(): void;
}

/** The OCI runtime's name for a start. */
export const ociIdOf = ({ podUid, container, restart }: ContainerId): string => `${podUid}.${container}.${restart}`;
/** What a container's program reads, where it has an input: a FIFO. */
export const inputPathOf = (place: string): string => join(place, 'stdin');
/** What the shell over a container, the runtime and nothing else have in their environment. */
export const markOf = (place: string) => ['KITTIWAKE_CONTAINER', place] as const;

/** A container that an OCI runtime runs. */
export class OciContainer implements RunningContainer {
  readonly id: ContainerId;
  readonly logPath: string;
  readonly startedAtMs: number;
  readonly writablePath: string;
  readonly exited: Promise<ContainerExit>;
  readonly #options: OciContainerOptions;
  readonly #ociId: string;
  /** Aborted when it has ended. */
  readonly #life = new AbortController();
  #resize: ((size: TerminalSize) => void) | undefined;
  #program: ProcessIdentity | undefined;
  #heldInput: number | undefined;

  constructor(options: OciContainerOptions) {
    const { record } = options;
    this.#options = options;
    this.id = record.id;
    this.#ociId = ociIdOf(record.id);
    this.logPath = record.logPath;
    this.startedAtMs = record.startedAtMs;
    this.writablePath = upperOf(options.place);
    this.#heldInput = options.heldInput;
    this.exited = this.#end().finally(() => this.#releaseInput());
  }

  /** The process id of its program, in the machine's numbers; undefined while it is starting, and when it has ended. */
  get pid(): number | undefined {
    if (this.#program) return isRunning(this.#program) ? this.#program.pid : undefined;
    const { started, monitor } = this.#options;
    // While the runtime is there, which waits for the program, the number is nobody else's.
    if (this.#life.signal.aborted || !isRunning(monitor)) return undefined;
    const pid = pidIn(join(started.dir, this.#ociId));
    const startedAt = pid === undefined ? undefined : startOf(pid);
    if (pid === undefined || startedAt === undefined) return undefined;
    this.#program = { pid, startedAt };
    return pid;
  }

  /** To the program, as Kubernetes does it; SIGKILL to all that runs in it. */
  signal(signal: NodeJS.Signals | number): void {
    if (this.#life.signal.aborted) return;
    const { pid } = this;
    const { monitor, cgroups, clock, record, sharesProcesses, started } = this.#options;
    const isKill = signal === 'SIGKILL' || signal === 9;
    if (pid === undefined) {
      if (this.#program) return; // It has ended: the rest is on its way.
      // It is just starting: what is to end it does so at once, what is for the program waits for it.
      if (isKill) signalGroup(monitor.pid, 'SIGKILL');
      else {
        // Never rejects.
        void started.until(this.#ociId, this.exited).then((isThere) => {
          if (isThere && this.pid !== undefined) this.signal(signal);
        });
      }
      return;
    }
    if (!isKill && isOfRuntime(pid) && clock.now() < this.startedAtMs + becomingMs) {
      clock.after(lookAgainMs, () => this.signal(signal));
      return;
    }
    send(pid, signal);
    if (isKill && sharesProcesses) for (const each of cgroups.processes(record.cgroupsPath)) send(each, signal);
  }

  exec(command: readonly string[], wanted: StreamsWanted, signal: AbortSignal): Promise<Streams> {
    const { runtime, started, clock } = this.#options;
    return execIn({ ...wanted, id: this.#ociId, command, runtime, started, clock, signal });
  }

  async attach(wanted: StreamsWanted, signal: AbortSignal): Promise<Streams> {
    const { record, place, clock, monitor } = this.#options;
    const inputPath = record.hasInput ? inputPathOf(place) : undefined;
    const onInputClosed = () => this.#releaseInput();
    const options = { driver: 'container', container: this, inputPath, clock, onInputClosed };
    const streams = await attachTo(options, wanted, signal);
    if (!record.hasTerminal) return streams;
    // The one child of the shell is `script`, which has made the terminal.
    this.#resize ??= resizerOf(childrenOf(monitor.pid)[0]?.pid ?? 0, clock, this.#life.signal);
    return { ...streams, resize: this.#resize };
  }

  async stats(): Promise<ContainerStats | undefined> {
    const { cgroups, record } = this.#options;
    return this.#life.signal.aborted ? undefined : cgroups.stats(record.cgroupsPath);
  }

  #releaseInput(): void {
    if (this.#heldInput !== undefined) closeSync(this.#heldInput);
    this.#heldInput = undefined;
  }

  async #end(): Promise<ContainerExit> {
    const { child, monitor, clock, record, place, cgroups, log, onEnded } = this.#options;
    await (child ? endOfChild(child) : endOf(monitor, clock));
    const exit = readExit(join(place, 'exit'));
    const { exitCode, finishedAtMs = clock.now() } = exit ?? {};
    const isUnknown = exitCode === undefined || exitCode === 'lost';
    const isOutOfMemory = cgroups.outOfMemoryKills(record.cgroupsPath) > 0;
    this.#life.abort();
    try {
      const [name, value] = markOf(place);
      // The shell was killed, or the runtime: the other one, and the container, may be left.
      if (isUnknown) await endProgram({ mark: `${name}=${value}` });
      await cgroups.removeContainer(record.cgroupsPath);
    } catch (error) {
      log.warn({ container: this.id, reason: messageOf(error) }, 'a container has ended, but not all of it');
    }
    try {
      onEnded();
    } catch (error) {
      log.warn({ container: this.id, reason: messageOf(error) }, 'something of a container is left');
    }
    if (isUnknown) return { exitCode: 137, isUnknown: true, finishedAtMs };
    return { exitCode, isUnknown: false, finishedAtMs, ...(isOutOfMemory && exitCode !== 0 ? { isOutOfMemory } : {}) };
  }
}

function endOfChild(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
}

function endOf(monitor: ProcessIdentity, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (isRunning(monitor)) clock.after(adoptedPollMs, look);
      else resolve();
    };
    look();
  });
}
