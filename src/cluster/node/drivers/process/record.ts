import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from '../../../../lib/json-file.ts';
import { startFromStat, startOf } from '../../../../lib/process-identity.ts';
import { parseDigest } from '../../../../registry/digest.ts';
import type { ContainerId, PortMap } from '../../driver.ts';

/**
 * What the disk knows of one start, so that an agent that dies at any moment finds it again or knows that it never was:
 *
 *     CONTAINER.json     what is going to run; written before the spawn
 *     CONTAINER.N.pid    who runs it; written by the process itself, before it becomes the user's program
 *
 * The process creates the .pid file only if it is not there (O_EXCL), and ends when it is. An agent that recovers and
 * finds none creates it itself: from then on that start can never run. So each start happens at most once.
 */
export interface ContainerRecord {
  id: ContainerId;
  ports: PortMap;
  logPath: string;
  startedAtMs: number;
  imageDigest: string;
  /** The temporary folder outside of the node's own; '' when it is in the working copy. */
  temp: string;
  /** Of the machine's run: numbers of processes and their start times are only worth something within it. */
  bootId: string;
  /** The environment and folder of the program, for commands beside it (exec probes). */
  environment: Record<string, string>;
  cwd: string;
}

const revoked = 'revoked';

export const recordPath = (podDir: string, container: string) => join(podDir, `${container}.json`);
export const pidPath = (podDir: string, { container, restart }: Pick<ContainerId, 'container' | 'restart'>) =>
  join(podDir, `${container}.${restart}.pid`);

export function writeRecord(podDir: string, record: ContainerRecord): void {
  rmSync(pidPath(podDir, record.id), { force: true });
  // Secrets may be in the environment: for the owner only. It need not last: a machine that goes down ends the
  // processes too, and what is found after that, torn, old or not at all, is of another boot or is no record.
  writeJsonFile(recordPath(podDir, record.id.container), record, { mode: 0o600, mustLast: false });
  // A pod that crashes for weeks leaves one. What was revoked stays: its process may only be about to look.
  const before = { ...record.id, restart: record.id.restart - 1 };
  const claim = readClaim(podDir, before);
  if (claim !== undefined && claim !== 'revoked') rmSync(pidPath(podDir, before), { force: true });
}

/**
 * The record of the container `container` of the pod `podUid`. Undefined when the file is not one, whatever it is: it
 * was half written, or damaged. Then nothing can be adopted by it.
 */
export function readRecord(podDir: string, podUid: string, container: string): ContainerRecord | undefined {
  const value = readJsonFile(recordPath(podDir, container));
  return isRecord(value) && value.id.podUid === podUid && value.id.container === container ? value : undefined;
}

/** Paths are made of what is in it, and processes signalled: each field is what it should be. */
function isRecord(value: unknown): value is ContainerRecord {
  const { id, ports, logPath, startedAtMs, imageDigest, temp, bootId, environment, cwd } = (value ??
    {}) as Partial<ContainerRecord>;
  const areStrings = (values: unknown[]) => values.every((each) => typeof each === 'string');
  const isPort = (each: unknown) => Number.isInteger(each) && Number(each) > 0 && Number(each) <= 65535;
  return (
    areStrings([id?.podUid, id?.container, logPath, imageDigest, temp, bootId, cwd]) &&
    Number.isSafeInteger(id?.restart) &&
    Number(id?.restart) >= 0 &&
    Number.isFinite(startedAtMs) &&
    Math.abs(Number(startedAtMs)) < 8.64e15 &&
    parseDigest(imageDigest ?? '') !== undefined &&
    typeof ports === 'object' &&
    ports !== null &&
    Object.values(ports).every(isPort) &&
    typeof environment === 'object' &&
    environment !== null &&
    areStrings(Object.values(environment))
  );
}

/** The shell that becomes the program: `$0` is the .pid file. The exit code of a start that was revoked is 111. */
export const launcher =
  process.platform === 'linux'
    ? 'set -C; read -r stat </proc/self/stat && echo "$stat" >"$0" || exit 111; exec "$@"'
    : 'set -C; echo "$$" >"$0" || exit 111; exec "$@"';

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
