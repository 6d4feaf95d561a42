import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { StartError } from '../../driver.ts';
import { claim } from '../claims.ts';
import { inTerminal } from '../terminal.ts';
import { toolEnvironment } from '../tools.ts';
import { mountPins } from './pinned-mounts.ts';

export interface LaunchOptions {
  /** The start's own folder, with `rootfs`, `config.json` and what is mounted. */
  place: string;
  /** Where the start is claimed (claims.ts). */
  claimPath: string;
  /** Where the OCI runtime writes the program's process id when it has started. */
  startedPath: string;
  logPath: string;
  overlay: string;
  /** The OCI runtime with its options, to run the container in the foreground. */
  command: readonly string[];
  hasInput: boolean;
  /** What the program reads instead of a FIFO that the shell makes and holds open. */
  inputFd?: number | undefined;
  hasTerminal: boolean;
  /** What the program prints needs a pipe that the runtime does not make. */
  copiesOutput: boolean;
  /** The line of the environment that all of it has, but not what runs in the container. */
  mark: readonly [name: string, value: string];
}

/**
 * What watches over a container: a shell in a mount namespace of its own, and the OCI runtime in its foreground. It
 * claims the start, mounts the root where nobody else sees it (so that it is gone with the last of them), and writes
 * down how the container ended, whether there is an agent or not. When the program's process is still there, the
 * runtime was killed before it, and nobody knows: `lost`.
 *
 * What the program prints goes through a pipe: one that opens `/dev/stdout` by name would empty the log's own file, and
 * could read and cut it. runc makes one and copies; beside a runtime that does not, `cat` does, without the agent, too.
 *
 * `$0` the claim, `$1` the options of the mount, `$2` the file that says it has started, `$3` `input` or nothing, `$4`
 * `copy` where that takes a `cat`, `$5` and all others the runtime.
 */
const launcher = `${claim}
${mountPins}
set +C
options=$1 started=$2 input=$3 copy=$4
shift 4
mount -t overlay -o "$options" overlay rootfs 2>mount.log && mount_pins 2>>mount.log || exit 112
[ -z "$input" ] || { mkfifo -m 600 stdin && exec <>stdin; } 2>mount.log || exit 112
if [ -n "$copy" ]; then
  mkfifo -m 600 output 2>mount.log || exit 112
  cat output &
  "$@" >output 2>&1
else
  "$@"
fi
code=$?
[ ! -s "$started" ] || { read -r pid <"$started"; [ ! -d "/proc/$pid" ] || code=lost; }
[ -z "$copy" ] || [ "$code" = lost ] || wait
echo "$code" >exit`;

/** The exit codes of a start that did not come to the OCI runtime; its words are in `mount.log`. */
export const revokedCode = 111;
export const unmountedCode = 112;

/** Starts it, on its own: it stays when the agent ends. */
export async function launch(options: LaunchOptions): Promise<ChildProcess> {
  const {
    place,
    claimPath,
    startedPath,
    logPath,
    overlay,
    command,
    hasInput,
    inputFd,
    hasTerminal,
    copiesOutput,
    mark,
  } = options;
  const [name, value] = mark;
  const output = openSync(logPath, 'a', 0o600);
  try {
    const run = hasTerminal ? inTerminal(command) : command;
    const args = ['--mount', '--propagation', 'slave', '/bin/sh', '-c', launcher, claimPath, overlay, startedPath];
    const child = spawn(
      'unshare',
      [...args, hasInput && inputFd === undefined ? 'input' : '', copiesOutput && !hasTerminal ? 'copy' : '', ...run],
      {
        cwd: place,
        env: { ...toolEnvironment, [name]: value },
        detached: true,
        stdio: [inputFd ?? 'ignore', output, output],
      },
    );
    if (child.pid === undefined) throw await failureOf(child);
    child.on('error', () => {}); // Of signals that came too late.
    return child;
  } finally {
    closeSync(output);
  }
}

function failureOf(child: ChildProcess): Promise<StartError> {
  const { promise, resolve } = Promise.withResolvers<StartError>();
  child.once('error', (error) =>
    resolve(new StartError('CreateContainerError', `unshare could not be started: ${error.message}`, { cause: error })),
  );
  return promise;
}
