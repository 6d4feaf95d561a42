import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startFromStat, startOf } from '../../../lib/process-identity.ts';
import type { ContainerId } from '../driver.ts';

/**
 * Each start of a container happens at most once, whenever an agent dies, by a file that only one can make:
 *
 *     CONTAINER.N.pid    who runs it; written by the process itself, before it becomes the user's program
 *
 * The process creates it only if it is not there (O_EXCL), and ends when it is. An agent that recovers and finds none
 * creates it itself: from then on that start can never run.
 */
export const pidPath = (podDir: string, { container, restart }: Pick<ContainerId, 'container' | 'restart'>) =>
  join(podDir, `${container}.${restart}.pid`);

/** What a shell does first to run a start: `$0` is the .pid file. The exit code of one that was revoked is 111. */
export const claim =
  process.platform === 'linux'
    ? 'set -C; read -r stat </proc/self/stat && echo "$stat" >"$0" || exit 111'
    : 'set -C; echo "$$" >"$0" || exit 111';

const revoked = 'revoked';

/** Makes way for the start `id`, before anything of it is there. */
export function makeClaimable(podDir: string, id: ContainerId): void {
  rmSync(pidPath(podDir, id), { force: true });
  // A pod that crashes for weeks leaves one. What was revoked stays: its process may only be about to look.
  const before = { ...id, restart: id.restart - 1 };
  const earlier = readClaim(podDir, before);
  if (earlier !== undefined && earlier !== 'revoked') rmSync(pidPath(podDir, before), { force: true });
}

/** Takes the right to run from a start whose process has not yet claimed it; true when that came in time. */
export function revoke(podDir: string, id: ContainerId): boolean {
  try {
    writeFileSync(pidPath(podDir, id), `${revoked}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Who runs the start `id`: undefined while nobody has claimed it (or the claim is being written). */
export function readClaim(podDir: string, id: ContainerId): { pid: number; startedAt: string } | 'revoked' | undefined {
  let text: string;
  try {
    text = readFileSync(pidPath(podDir, id), 'latin1');
  } catch {
    return undefined; // Not there yet.
  }
  if (!text.endsWith('\n')) return undefined;
  if (text.trim() === revoked) return 'revoked';
  const pid = Number.parseInt(text, 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const startedAt = process.platform === 'linux' ? startFromStat(text) : startOf(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}
