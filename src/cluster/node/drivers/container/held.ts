/**
 * A start that waits for its program to be wanted. The OCI runtime has made the container, with all that costs time
 * (namespaces, mounts, seccomp's program), and runs the hook below, before it lets the program go:
 *
 *     hold       a FIFO: a line on it lets the program go
 *     released   made by the hook that has read it, or by whoever makes sure that it never goes; only one can
 *
 * The runtime stays in the foreground of the shell over it, as for any start: it is the same process that later waits
 * for the program's end, and nothing of it is made anew.
 */
import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { runTool, toolEnvironment } from '../tools.ts';
import type { OciHook } from './spec/oci.ts';

export const holdPath = (place: string): string => join(place, 'hold');
const releasedPath = (place: string) => join(place, 'released');

/** The name of what says, among what has started (Arrivals), that a start waits. */
export const waitingName = (ociId: string): string => `${ociId}.held`;

/** `$0` the FIFO, `$1` what only one can make, `$2` the file that says that it waits. */
const wait = 'mkfifo -m 600 "$0" && exec 3<>"$0" && : >"$2" && read -r word <&3 && set -C && : >"$1"';

/** The hook that waits; `mark` is what all has in its environment that watches over the container. */
export function holdHook(place: string, waitingPath: string, mark: readonly [name: string, value: string]): OciHook {
  return {
    path: '/bin/sh',
    args: ['sh', '-c', wait, holdPath(place), releasedPath(place), waitingPath],
    env: [`PATH=${toolEnvironment.PATH ?? ''}`, mark.join('=')],
  };
}

/** Lets the program go; false when nothing waits for that any more. */
export function letGo(place: string): boolean {
  let fifo: number;
  try {
    fifo = openSync(holdPath(place), constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return false; // Nobody has it open: the hook has ended, with the runtime or without.
  }
  try {
    writeSync(fifo, 'go\n');
    return true;
  } finally {
    closeSync(fifo);
  }
}

/** Makes sure that a held program never runs; false when it has been let go already. */
export function revokeHeld(place: string): boolean {
  try {
    writeFileSync(releasedPath(place), '', { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Whether the runtime runs the hook while the program waits. Of runc up to 1.4 that is so (`poststart` in
 * libcontainer's `start`); as the specification has it, and later versions and other runtimes do, it runs beside the
 * program.
 */
export async function canHold(runtimePath: string): Promise<boolean> {
  if (!runtimePath.endsWith('/runc')) return false;
  try {
    const said = await runTool(runtimePath, ['--version']);
    const [, major, minor] = /^runc version (\d+)\.(\d+)\./m.exec(said) ?? [];
    return major === '1' && Number(minor) >= 1 && Number(minor) <= 4;
  } catch {
    return false; // What does not say what it is holds nothing.
  }
}
