import { type ChildProcess, spawn } from 'node:child_process';

/** How long the roles have to stop by themselves once the supervisor is gone. */
const graceSecondsDefault = 5;

/**
 * Reads the roles' process ids from standard input, a line each time they change. At its end, which comes when the
 * supervisor dies however it dies, those that still run are killed: a role whose event loop is stuck cannot notice by
 * itself. A pid is killed only when it is still the process of a role.
 */
const script = (graceSeconds: number) => `
trap '' INT TERM HUP
pids=
while read -r line; do pids=$line; done
[ -n "$pids" ] || exit 0
sleep ${graceSeconds}
for pid in $pids; do
  case $(ps -o args= -p "$pid" 2>/dev/null) in *server/role.ts*) kill -9 "$pid" ;; esac
done
`;

/** A small shell of its own process that outlives the supervisor by some seconds, and ends what else would stay. */
export class DeadMansSwitch {
  #shell: ChildProcess | undefined;
  readonly #graceSeconds: number;
  #pids: readonly number[] = [];

  constructor(graceSeconds = graceSecondsDefault) {
    this.#graceSeconds = graceSeconds;
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
    shell?.stdin?.end('\n');
  }

  #spawn(): void {
    // A process group of its own: what ends the supervisor's group does not end it.
    const shell = spawn('/bin/sh', ['-c', script(this.#graceSeconds)], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#shell = shell;
    shell.stdin.on('error', () => {}); // It was killed: `close` makes a new one.
    shell.once('error', () => {}); // There is no /bin/sh: roles that are stuck outlive a supervisor that is killed.
    shell.once('close', () => {
      if (this.#shell !== shell || shell.pid === undefined) return;
      this.#spawn();
      this.watch(this.#pids);
    });
    shell.unref();
  }
}
