import { once } from 'node:events';
import { appendFileSync, mkdirSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import type { Pod } from '../../../api/core/pod.ts';
import type {
  ContainerExit,
  ContainerOnNode,
  Driver,
  RunningContainer,
  Sandbox,
  Streams,
  StreamsWanted,
} from '../driver.ts';
import { StartError } from '../driver.ts';

/** What a program of the toy is run with: functions stand for programs, by their name in `argv[0]`. */
export interface ToyRun {
  args: readonly string[];
  environment: Environment;
  stdin: Readable;
  stdout: Writable;
  stderr: Writable;
  /** Listens on a port of the pod. */
  listen(port: number, onConnection: (socket: Socket) => void): Promise<void>;
  onResize(listener: (size: Size) => void): void;
}
type Environment = Readonly<Record<string, string>>;
interface Size {
  columns: number;
  rows: number;
}
export type ToyProgram = (run: ToyRun) => Promise<number>;

/**
 * A driver in memory, to show what a driver is: sandboxes have addresses of their own in 127.77.0.0/16 (Linux), and
 * what runs in them are functions. Sandboxes stay when a driver is closed, as those of a machine do: `open` another.
 */
export class ToyMachine {
  readonly sandboxes = new Map<string, ToySandbox>();
  readonly programs: Readonly<Record<string, ToyProgram>>;
  #made = 0;

  constructor(programs: Readonly<Record<string, ToyProgram>>) {
    this.programs = programs;
  }

  open(): Driver {
    return {
      name: 'toy',
      prepare() {},
      keepPrepared: async () => {},
      sandbox: async (pod, signal) => this.#sandboxOf(pod, signal),
      has: (podUid) => this.sandboxes.has(podUid),
      recover: async () => [...this.sandboxes.values()],
      close: async () => {},
    };
  }

  #sandboxOf({ metadata: { uid = '' } }: Pod, signal: AbortSignal): ToySandbox {
    signal.throwIfAborted();
    const found = this.sandboxes.get(uid);
    if (found) return found;
    this.#made++;
    const made = new ToySandbox(this, uid, `127.77.${this.#made >> 8}.${this.#made & 255}`);
    this.sandboxes.set(uid, made);
    return made;
  }
}

class ToySandbox implements Sandbox {
  readonly podUid: string;
  readonly bringsRuntimes = true;
  readonly addresses: { ips: readonly [string]; ports: Record<number, never> };
  readonly #machine: ToyMachine;
  readonly #running = new Set<RunningContainer>();
  readonly #sockets = new Set<Socket>();
  /** Called when the last connection is closed. */
  readonly #onQuiet = new Set<() => void>();

  constructor(machine: ToyMachine, podUid: string, ip: string) {
    this.#machine = machine;
    this.podUid = podUid;
    this.addresses = { ips: [ip], ports: {} };
  }

  get containers(): RunningContainer[] {
    return [...this.#running];
  }

  async start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer> {
    signal.throwIfAborted();
    const { id, logPath, environment } = container;
    mkdirSync(dirname(logPath), { recursive: true });
    appendFileSync(logPath, '');
    const main = this.#run(container.argv, environment);
    const write = (chunk: Buffer) => appendFileSync(logPath, chunk);
    for (const stream of [main.stdout, main.stderr]) stream.on('data', write);
    const beside = new Set<Running>();
    const exited = main.ended.then((end): ContainerExit => {
      this.#running.delete(running);
      for (const command of beside) command.kill(constants.signals.SIGKILL);
      return { ...end, isUnknown: false, finishedAtMs: Date.now() };
    });
    const running: RunningContainer = {
      id,
      logPath,
      startedAtMs: Date.now(),
      exited,
      signal: (name) => main.kill(typeof name === 'number' ? name : constants.signals[name]),
      exec: async (command, wanted, abort) => {
        abort.throwIfAborted();
        const run = this.#run(command, environment, wanted.hasTerminal);
        beside.add(run);
        abort.addEventListener('abort', () => run.kill(constants.signals.SIGKILL), { once: true });
        return streamsOf(run, wanted);
      },
      attach: async (wanted, abort) => {
        const stdout = new PassThrough();
        const stderr = wanted.hasTerminal ? stdout : new PassThrough();
        main.stdout.pipe(stdout, { end: false });
        main.stderr.pipe(stderr, { end: false });
        const end = () => {
          main.stdout.unpipe(stdout);
          main.stderr.unpipe(stderr);
          for (const stream of [stdout, stderr]) stream.end();
        };
        abort.addEventListener('abort', end, { once: true });
        main.stdout.once('close', end);
        return streamsOf({ ...main, stdout, stderr }, wanted);
      },
      stats: async () => undefined, // A function has no share of the machine that could be told.
    };
    this.#running.add(running);
    return running;
  }

  notesOn(): string[] {
    return [];
  }

  exitOf(): undefined {
    return undefined; // Nothing ends unseen: it is all in one process.
  }

  async forward(port: number): Promise<Socket> {
    const socket = connect({ host: this.addresses.ips[0], port, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  drained(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#onQuiet.delete(done);
        resolve();
      };
      if (this.#sockets.size === 0 || signal.aborted) done();
      else this.#onQuiet.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  async remove(): Promise<void> {
    for (const container of this.#running) container.signal('SIGKILL');
    await Promise.all([...this.#running].map((container) => container.exited));
    const { sandboxes } = this.#machine;
    if (sandboxes.get(this.podUid) === this) sandboxes.delete(this.podUid);
  }

  /** One program: it has ended when its function has, or when it is killed; what it listens on is closed then. */
  #run([name = '', ...args]: readonly string[], environment: Environment, hasTerminal = false): Running {
    const program = Object.hasOwn(this.#machine.programs, name) ? this.#machine.programs[name] : undefined;
    if (!program) throw new StartError('CreateContainerError', `exec: ${JSON.stringify(name)}: no program of the toy`);
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const stderr = hasTerminal ? stdout : new PassThrough();
    // What is written after its end is lost.
    for (const stream of [stdin, stdout, stderr]) stream.on('error', () => {});
    const end = Promise.withResolvers<{ exitCode: number; signal?: number }>();
    const onEnded: (() => void)[] = [];
    const onResize = new Set<(size: Size) => void>();
    const listen = async (port: number, onConnection: (socket: Socket) => void) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        this.#sockets.add(socket);
        socket.on('error', () => {}); // Its close follows.
        socket.on('close', () => {
          this.#sockets.delete(socket);
          if (this.#sockets.size === 0) for (const quiet of [...this.#onQuiet]) quiet();
        });
        onEnded.push(() => socket.destroy());
        onConnection(socket);
      });
      onEnded.push(() => server.close());
      await once(server.listen(port, this.addresses.ips[0]), 'listening');
    };
    program({ args, environment, stdin, stdout, stderr, listen, onResize: (listener) => onResize.add(listener) }).then(
      (exitCode) => end.resolve({ exitCode }),
      () => end.resolve({ exitCode: 1 }), // A program that throws has failed.
    );
    const ended = end.promise.then((how) => {
      for (const close of onEnded) close();
      for (const stream of [stdin, stdout, stderr]) stream.end();
      return how;
    });
    const kill = (signal: number) => end.resolve({ exitCode: 128 + signal, signal });
    const resize = (size: Size) => {
      for (const listener of onResize) listener(size);
    };
    return { stdin, stdout, stderr, ended, kill, resize };
  }
}

interface Running {
  stdin: PassThrough;
  stdout: PassThrough;
  stderr: PassThrough;
  ended: Promise<{ exitCode: number; signal?: number }>;
  kill(signal: number): void;
  resize(size: Size): void;
}

function streamsOf(run: Running, { hasStdin, hasTerminal }: StreamsWanted): Streams {
  const { stdin, stdout, stderr } = run;
  return {
    stdin: hasStdin ? stdin : undefined,
    stdout,
    stderr: hasTerminal ? undefined : stderr,
    ...(hasTerminal ? { resize: run.resize } : {}),
    exited: run.ended.then(({ exitCode }) => exitCode),
  };
}
