import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Logger } from '../../../observe/log.ts';
import { LogTimes, timesPath } from './log-times.ts';

export interface LogFilesOptions {
  /** `logs/` of the node. */
  dir: string;
  clock: Clock;
  log: Logger;
  /** A log file is rotated when it is larger: 10 MiB. */
  maxFileBytes?: number;
  /** How many files are kept of one run of a container, the current one included: 5, as kubelet's. */
  maxFiles?: number;
  /** Logs of pods that are gone are removed, the oldest first, beyond this many pods: 50. */
  maxDeadPods?: number;
  /** … and beyond this many bytes: 256 MiB. */
  maxDeadBytes?: number;
}

export const filesMax = 5;

/** How often the sizes of the logs that are written to are looked at. */
const lookMs = 500;
const tailBytes = 2048;
const tailLines = 80;

/**
 * The log files of containers: `NAMESPACE_POD_UID/CONTAINER/RESTART.log`, rotated to `.log.1`, `.log.2`. A container
 * writes to its file itself, so that it outlives the agent; nobody sees the bytes on their way. Hence:
 *
 * - Rotation copies the file and then empties it (the container appends, so it goes on at the start). Renaming would
 *   leave the container writing to the old file. Lines written in the microseconds between the two are lost.
 * - The time of a line is when the agent first saw the file as long as that: up to half a second late (`LogTimes`).
 *
 * Places in a log are counted from its very first byte, over all rotations.
 */
export class LogFiles {
  readonly #options: Required<LogFilesOptions>;
  readonly #open = new Map<string, LogTimes>();
  readonly #failing = new Set<string>();
  /** While it runs, the timer after which all open logs are looked at. */
  #cancel: (() => void) | undefined;

  constructor(options: LogFilesOptions) {
    const mib = 2 ** 20;
    this.#options = {
      maxFileBytes: 10 * mib,
      maxFiles: filesMax,
      maxDeadPods: 50,
      maxDeadBytes: 256 * mib,
      ...options,
    };
  }

  pathOf(pod: PodNames, container: string, restart: number): string {
    return join(this.#podDir(pod), container, `${restart}.log`);
  }

  /** The runs of a container that have logs, the newest first. */
  runsOf(pod: PodNames, container: string): number[] {
    try {
      return readdirSync(join(this.#podDir(pod), container))
        .filter((name) => /^\d+\.log$/.test(name))
        .map((name) => Number.parseInt(name, 10))
        .sort((a, b) => b - a);
    } catch {
      return []; // It has not written anything.
    }
  }

  /** A container writes to this file from now on; of its earlier runs, only the last one's log is kept. */
  opened(path: string): void {
    const folder = dirname(path);
    const restart = Number.parseInt(basename(path), 10);
    try {
      for (const name of existsSync(folder) ? readdirSync(folder) : []) {
        if (Number.parseInt(name, 10) < restart - 1) rmSync(join(folder, name), { recursive: true, force: true });
      }
    } catch (error) {
      this.#options.log.warn({ path, reason: messageOf(error) }, 'older logs stay');
    }
    const times = LogTimes.load(timesPath(path));
    this.#open.set(path, times);
    this.#look(path, times);
    this.#schedule();
  }

  /** Nobody writes to it any more. */
  closed(path: string): void {
    const times = this.#open.get(path);
    if (times) this.#look(path, times);
    this.#open.delete(path);
    this.#failing.delete(path);
  }

  isOpen(path: string): boolean {
    return this.#open.has(path);
  }

  timesOf(path: string): LogTimes {
    const times = this.#open.get(path);
    if (!times) return LogTimes.load(timesPath(path));
    this.#look(path, times);
    return times;
  }

  /** The last few lines, for the message of a container that failed. */
  tail(path: string): string {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch {
      return ''; // Removed meanwhile.
    }
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(Math.min(tailBytes, size));
      readSync(fd, bytes, 0, bytes.length, size - bytes.length);
      return bytes.toString('utf8').trimEnd().split('\n').slice(-tailLines).join('\n');
    } finally {
      closeSync(fd);
    }
  }

  /** Removes the logs of pods that are gone, but for the last few. */
  async collect(livePods: readonly PodNames[]): Promise<void> {
    const { dir, maxDeadPods, maxDeadBytes } = this.#options;
    const live = new Set(livePods.map((pod) => basename(this.#podDir(pod))));
    const names = await readdir(dir).catch(() => [] as string[] /* No pod has run yet. */);
    const dead = await Promise.all(
      names.filter((name) => !live.has(name)).map(async (name) => ({ name, ...(await usageOf(join(dir, name))) })),
    );
    let bytes = 0;
    for (const [index, pod] of dead.sort((a, b) => b.changedMs - a.changedMs).entries()) {
      bytes += pod.bytes;
      if (index >= maxDeadPods || bytes > maxDeadBytes) await rm(join(dir, pod.name), { recursive: true, force: true });
    }
  }

  close(): void {
    this.#cancel?.();
    this.#open.clear();
  }

  #podDir({ namespace = 'default', name, uid = '' }: PodNames): string {
    return join(this.#options.dir, `${namespace}_${name}_${uid}`);
  }

  #schedule(): void {
    this.#cancel ??= this.#options.clock.after(lookMs, () => {
      this.#cancel = undefined;
      for (const [path, times] of this.#open) this.#look(path, times);
      if (this.#open.size > 0) this.#schedule();
    });
  }

  #look(path: string, times: LogTimes): void {
    const { clock, log, maxFileBytes } = this.#options;
    try {
      const size = statSync(path).size;
      times.sample(clock.now(), size);
      if (size > maxFileBytes) this.#rotate(path, times);
      this.#failing.delete(path);
    } catch (error) {
      if (this.#failing.has(path)) return;
      this.#failing.add(path); // Said once: a full disk would fill up with saying so.
      log.warn({ path, reason: messageOf(error) }, 'a log could not be looked after');
    }
  }

  #rotate(path: string, times: LogTimes): void {
    const { maxFiles, maxFileBytes } = this.#options;
    for (let number = maxFiles - 2; number >= 1; number--) {
      if (existsSync(`${path}.${number}`)) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
    }
    const size = maxFiles > 1 ? copyTail(path, `${path}.1`, 2 * maxFileBytes) : statSync(path).size;
    truncateSync(path, 0);
    times.endFile(size);
  }
}

export interface PodNames {
  namespace?: string;
  name: string;
  uid?: string;
}

const blockBytes = 1024 * 1024;

/**
 * Copies the last `maxBytes` of a file that may be growing faster than it is copied, and returns its length then: a
 * program that writes gigabytes within half a second fills neither the disk with them nor the agent's time.
 */
function copyTail(from: string, to: string, maxBytes: number): number {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w', 0o600);
  try {
    const begin = Math.max(0, fstatSync(source).size - maxBytes);
    const block = Buffer.alloc(blockBytes);
    let at = begin;
    // What was written meanwhile goes into the copy too, within reason.
    for (let read = -1; read !== 0 && at - begin < maxBytes + blockBytes; at += read) {
      read = readSync(source, block, 0, block.length, at);
      writeSync(target, block, 0, read);
    }
    return at;
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

async function usageOf(folder: string): Promise<{ bytes: number; changedMs: number }> {
  let bytes = 0;
  let changedMs = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const { size, mtimeMs } = await stat(join(entry.parentPath, entry.name));
    bytes += size;
    changedMs = Math.max(changedMs, mtimeMs);
  }
  return { bytes, changedMs };
}
