import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { isRunning, type ProcessIdentity } from '../../../../lib/process-identity.ts';
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
import { runBeside } from './exec.ts';
import type { ContainerRecord } from './record.ts';
import { usageOfGroup } from './usage.ts';

/** How often an adopted process, of which the agent is not the parent, is looked after. */
const adoptedPollMs = 250;

export interface ProcessContainerOptions {
  record: ContainerRecord;
  process: { pid: number; child: ChildProcess } | { pid: number; adopted: ProcessIdentity };
  /** Of a program whose input ends with the first who attaches: what keeps it open until then. */
  heldInput?: number | undefined;
  /** The environment line that all processes of this start have. */
  mark: string;
  clock: Clock;
  log: Logger;
  /** Called when nothing of it runs any more, before `exited` resolves. */
  onEnded(): void;
}

/** A container that is a process group of the host; its leader is the container's program. */
export class ProcessContainer implements RunningContainer {
  readonly id: ContainerId;
  readonly logPath: string;
  readonly startedAtMs: number;
  readonly exited: Promise<ContainerExit>;
  readonly #record: ContainerRecord;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pid: number;
  readonly #ending = new AbortController();
  readonly #resize: (size: TerminalSize) => void;
  #heldInput: number | undefined;
  #hasExited = false;

  constructor({ record, process, heldInput, mark, clock, log, onEnded }: ProcessContainerOptions) {
    this.#heldInput = heldInput;
    this.#resize = resizerOf(process.pid, clock, this.#ending.signal);
    this.#record = record;
    this.#clock = clock;
    this.#log = log;
    this.id = record.id;
    this.logPath = record.logPath;
    this.startedAtMs = record.startedAtMs;
    this.#pid = process.pid;
    const ended = 'child' in process ? endOfChild(process.child, clock) : endOfAdopted(process.adopted, clock);
    this.exited = ended.then(async (exit) => {
      this.#hasExited = true;
      this.#ending.abort();
      this.#releaseInput();
      // A container ends with its program: children that it left behind go too, even those with a group of their own.
      await this.#settle('processes may be left of it', () => endProgram({ group: this.#pid, mark }));
      await this.#settle('its working copy could not be used again', onEnded);
      return exit;
    });
  }

  signal(signal: NodeJS.Signals | number): void {
    if (this.#hasExited) return;
    // On a terminal the program leads a session of its own, and script waits for it.
    const leaders = this.#record.hasTerminal ? childrenOf(this.#pid).map(({ pid }) => pid) : [];
    for (const pid of leaders) signalGroup(pid, signal);
    if (leaders.length === 0 || signal === 'SIGKILL' || signal === constants.signals.SIGKILL) {
      signalGroup(this.#pid, signal);
    }
  }

  exec(command: readonly string[], wanted: StreamsWanted, signal: AbortSignal): Promise<Streams> {
    const { environment, cwd } = this.#record;
    return runBeside(command, { ...wanted, environment, cwd, clock: this.#clock, log: this.#log, signal });
  }

  async attach(wanted: StreamsWanted, signal: AbortSignal): Promise<Streams> {
    const { inputPath, hasTerminal } = this.#record;
    const onInputClosed = () => this.#releaseInput();
    const options = { driver: 'process', container: this, inputPath, clock: this.#clock, onInputClosed };
    const streams = await attachTo(options, wanted, signal);
    return hasTerminal ? { ...streams, resize: this.#resize } : streams;
  }

  async stats(): Promise<ContainerStats | undefined> {
    return this.#hasExited ? undefined : usageOfGroup(this.#pid);
  }

  #releaseInput(): void {
    if (this.#heldInput !== undefined) closeSync(this.#heldInput);
    this.#heldInput = undefined;
  }

  /** Whatever goes wrong after the end is said, and is no reason for the end not to be known. */
  async #settle(what: string, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn({ container: this.id, reason: messageOf(error) }, `a container has ended, but ${what}`);
    }
  }
}

function endOfChild(child: ChildProcess, clock: Clock): Promise<ContainerExit> {
  return new Promise((resolve) => {
    child.once('exit', (code, name) => {
      const signal = name === null ? undefined : constants.signals[name];
      const exit = { exitCode: code ?? 128 + (signal ?? 9), isUnknown: false, finishedAtMs: clock.now() };
      resolve(signal === undefined ? exit : { ...exit, signal });
    });
  });
}

function endOfAdopted(identity: ProcessIdentity, clock: Clock): Promise<ContainerExit> {
  return new Promise((resolve) => {
    const look = () => {
      if (isRunning(identity)) clock.after(adoptedPollMs, look);
      else resolve({ exitCode: 137, isUnknown: true, finishedAtMs: clock.now() });
    };
    look();
  });
}
