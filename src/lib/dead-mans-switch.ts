import { type ChildProcess, spawn } from 'node:child_process';
import { type Clock, systemClock } from './clock.ts';

/** How long the others have to stop by themselves once this process is gone. */
const graceSecondsDefault = 5;
/** A shell that ends is started again after this: one that cannot run must not be started without end. */
const pauseMs = 1_000;

/**
 * Reads process ids from standard input, a line each time they change. At its end, which comes when the process that
 * watches dies however it dies, those that still run are killed: one whose event loop is stuck cannot notice by itself.
 * A pid is killed only when it still runs the program.
 */
const script = (program: string, graceSeconds: number) => `
trap '' INT TERM HUP
pids=
while read -r line; do pids=$line; done
[ -n "$pids" ] || exit 0
sleep ${graceSeconds}
for pid in $pids; do
  case $(ps -o args= -p "$pid" 2>/dev/null) in *${program}*) kill -9 "$pid" ;; esac
done
`;

/** A small shell of its own process that outlives this one by some seconds, and ends what else would stay. */
export class DeadMansSwitch {
  #shell: ChildProcess | undefined;
  readonly #program: string;
  readonly #graceSeconds: number;
  readonly #clock: Clock;
  readonly #command: string;
  #cancelStart = () => {};
  #pids: readonly number[] = [];

  /** `program` ends the path of the main module of what is watched, and has no character that a shell reads. */
  constructor(
    program: string,
    graceSeconds = graceSecondsDefault,
    { clock = systemClock, shell = '/bin/sh' }: { clock?: Clock; shell?: string } = {},
  ) {
    this.#program = program;
    this.#graceSeconds = graceSeconds;
    this.#clock = clock;
    this.#command = shell;
    this.#spawn();
  }

  /** The processes that must not outlive this one. */
  watch(pids: readonly number[]): void {
    this.#pids = pids;
    this.#shell?.stdin?.write(`${pids.join(' ')}\n`);
  }

  /** Nothing is left to end. */
  disarm(): void {
    const shell = this.#shell;
    this.#shell = undefined;
    this.#cancelStart();
    shell?.stdin?.end('\n');
  }

  #spawn(): void {
    // A process group of its own: what ends the supervisor's group does not end it.
    const shell = spawn(this.#command, ['-c', script(this.#program, this.#graceSeconds)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#shell = shell;
    shell.stdin.on('error', () => {}); // It was killed: `close` makes a new one.
    shell.once('error', () => {}); // There is no /bin/sh: what is stuck outlives this process when it is killed.
    shell.once('close', () => {
      if (this.#shell !== shell || shell.pid === undefined) return;
      this.#cancelStart = this.#clock.after(pauseMs, () => {
        this.#spawn();
        this.watch(this.#pids);
      });
    });
    shell.unref();
  }
}
