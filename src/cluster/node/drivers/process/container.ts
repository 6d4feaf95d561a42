import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import type { ContainerExit, ContainerId, PortMap, RunningContainer } from '../../driver.ts';
import { resolveCommand } from './executable.ts';
import { isRunning, killMarked, type ProcessIdentity, signalGroup } from './identity.ts';
import type { ContainerRecord } from './record.ts';

/** How often an adopted process, of which the agent is not the parent, is looked after. */
const adoptedPollMs = 250;
const maxExecOutputBytes = 64 * 1024;

export interface ProcessContainerOptions {
  record: ContainerRecord;
  process: { pid: number; child: ChildProcess } | { pid: number; adopted: ProcessIdentity };
  /** The environment line that all processes of this start have. */
  marker: string;
  clock: Clock;
  /** Called when nothing of it runs any more, before `exited` resolves. */
  onEnded(): void;
}

/** A container that is a process group of the host; its leader is the container's program. */
export class ProcessContainer implements RunningContainer {
  readonly id: ContainerId;
  readonly ports: PortMap;
  readonly logPath: string;
  readonly startedAtMs: number;
  readonly imageDigest: string;
  readonly pid: number;
  readonly exited: Promise<ContainerExit>;
  readonly #record: ContainerRecord;
  #hasExited = false;

  constructor({ record, process, marker, clock, onEnded }: ProcessContainerOptions) {
    this.#record = record;
    this.id = record.id;
    this.ports = record.ports;
    this.logPath = record.logPath;
    this.startedAtMs = record.startedAtMs;
    this.imageDigest = record.imageDigest;
    this.pid = process.pid;
    const ended = 'child' in process ? endOfChild(process.child, clock) : endOfAdopted(process.adopted, clock);
    this.exited = ended.then(async (exit) => {
      this.#hasExited = true;
      // A container ends with its program: children that it left behind go too, even those with a group of their own.
      signalGroup(this.pid, 'SIGKILL');
      await killMarked(marker);
      onEnded();
      return exit;
    });
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasExited) signalGroup(this.pid, signal);
  }

  exec(command: readonly string[], timeoutMs: number): Promise<{ exitCode: number; output: string }> {
    const { environment, cwd } = this.#record;
    let [program, ...args]: string[] = [];
    try {
      const search = { root: environment.KITTIWAKE_ROOT ?? cwd, cwd, path: undefined };
      [program = '', ...args] = resolveCommand(command, search);
    } catch (error) {
      return Promise.resolve({ exitCode: 127, output: messageOf(error) });
    }
    return new Promise((resolve) => {
      const child = spawn(program, args, { cwd, env: environment, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      const collect = (chunk: Buffer) => {
        if (output.length < maxExecOutputBytes) output += chunk.toString('utf8');
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      }, timeoutMs);
      const finish = (exitCode: number, text: string) => {
        clearTimeout(timer);
        resolve({ exitCode, output: text.slice(0, maxExecOutputBytes) });
      };
      child.once('error', (error) => finish(127, error.message));
      child.once('close', (code) =>
        isLate ? finish(124, `command timed out after ${timeoutMs} ms`) : finish(code ?? 137, output),
      );
    });
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
