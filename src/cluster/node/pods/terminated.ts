import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ContainerState } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { timestamp } from '../../../api/meta.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { ContainerExit, ContainerId, Mount } from '../driver.ts';

/** Of what a container leaves as its last words, this much is kept: the end of it. */
const messageMaxBytes = 4096;
/** Among a pod's volumes, no volume has this name. */
const folderName = '.termination';

export interface EndOfRun {
  exit: ContainerExit;
  startedAtMs: number;
  containerId: string | undefined;
  container: Pick<Container, 'terminationMessagePath' | 'terminationMessagePolicy'>;
  /** The file that the run could write its last words to; undefined when nobody knows of the run. */
  messagePath: string | undefined;
  /** The last few lines of its log. */
  lastOutput(): string;
}

/** What a container's status says of a run that has ended, as kubelet and containerd have it. */
export function terminatedState(end: EndOfRun): ContainerState {
  const { exit, startedAtMs, containerId } = end;
  const terminated: NonNullable<ContainerState['terminated']> = {
    exitCode: exit.exitCode,
    reason: reasonOf(exit),
    startedAt: timestamp(startedAtMs),
    finishedAt: timestamp(exit.finishedAtMs),
  };
  const message = exit.isUnknown ? 'The container could not be located when the pod was terminated' : lastWordsOf(end);
  if (message !== '') terminated.message = message;
  if (exit.signal !== undefined) terminated.signal = exit.signal;
  if (containerId !== undefined) terminated.containerID = containerId;
  return { terminated };
}

function reasonOf({ exitCode, isUnknown, isOutOfMemory }: ContainerExit): string {
  if (isUnknown) return 'ContainerStatusUnknown';
  if (isOutOfMemory) return 'OOMKilled';
  return exitCode === 0 ? 'Completed' : 'Error';
}

/** What it wrote to its file; where the policy says so, and it wrote nothing and has failed, the end of its log. */
function lastWordsOf({ exit, container, messagePath, lastOutput }: EndOfRun): string {
  const hasFailed = exit.exitCode !== 0 || exit.isOutOfMemory === true;
  const fallsBack = container.terminationMessagePolicy === 'FallbackToLogsOnError' && hasFailed;
  try {
    const written = messagePath === undefined ? '' : readEnd(messagePath);
    return written === '' && fallsBack ? lastOutput() : written;
  } catch (error) {
    return `Error on reading termination log ${messagePath}: ${messageOf(error)}`;
  }
}

/** Where a run's last words are kept, among the pod's volumes in `dir`. */
export const messagePathOf = (dir: string, { container, restart }: Pick<ContainerId, 'container' | 'restart'>) =>
  join(dir, folderName, `${container}.${restart}`);

/** Makes the file for a run's last words, for a container that asks for one (all do, by default). */
export async function messageMount(
  container: Pick<Container, 'terminationMessagePath'>,
  path: string,
): Promise<Mount[]> {
  if (!container.terminationMessagePath) return [];
  mkdirSync(dirname(path), { recursive: true });
  await writeFile(path, '');
  await chmod(path, 0o666); // Whoever the container runs as, and whatever the umask.
  return [{ source: path, path: container.terminationMessagePath, isReadOnly: false }];
}

/** The end of a file; '' when it is none, or gone: a program that shares the machine may have put anything there. */
function readEnd(path: string): string {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
  try {
    const found = fstatSync(file);
    if (!found.isFile()) return '';
    const bytes = Buffer.alloc(Math.min(messageMaxBytes, found.size));
    const count = readSync(file, bytes, 0, bytes.length, found.size - bytes.length);
    return bytes.toString('utf8', 0, count);
  } finally {
    closeSync(file);
  }
}
