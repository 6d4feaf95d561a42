import { closeSync, constants, openSync, watch } from 'node:fs';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { type Clock, sleep } from '../../../lib/clock.ts';
import type { RunningContainer, Streams, StreamsWanted } from '../driver.ts';
import { nodeErrors } from '../errors.ts';

const chunkBytes = 64 * 1024;
/** Should the system not tell that the file has grown. */
const pollMs = 250;

export interface AttachOptions {
  /** For messages. */
  driver: string;
  container: Pick<RunningContainer, 'id' | 'logPath' | 'exited'>;
  /** The FIFO that its program reads from; undefined where it has no input. */
  inputPath: string | undefined;
  clock: Clock;
  /** Whoever was attached writes no more. */
  onInputClosed(): void;
}

/** The streams of a container's own program, by its log and its FIFO: see `RunningContainer.attach`. */
export async function attachTo(
  { driver, container, inputPath, clock, onInputClosed }: AttachOptions,
  { hasStdin }: StreamsWanted,
  signal: AbortSignal,
): Promise<Streams> {
  const { id, logPath, exited } = container;
  if (hasStdin && inputPath === undefined) {
    const what = `attach to the input of ${id.container}: it has none without 'stdin: true'`;
    throw nodeErrors.STREAM_UNSUPPORTED({ driver, what });
  }
  signal.throwIfAborted();
  const stdout = await follow(logPath, clock, signal, exited);
  const stdin = hasStdin && inputPath !== undefined ? inputOf(inputPath) : undefined;
  if (stdin) {
    const close = () => stdin.destroy();
    signal.addEventListener('abort', close, { once: true });
    void exited.then(close); // Never rejects.
    // With stdinOnce its end is the end of the program's input: nobody else holds the FIFO.
    stdin.once('close', onInputClosed);
  }
  return { stdin, stdout, stderr: undefined, exited: exited.then(({ exitCode }) => exitCode) };
}

/**
 * What is appended to the file from now on, until `signal` aborts, or to its end once `ended` has resolved. A file that
 * is emptied, as logs are when they rotate, goes on from its beginning.
 */
async function follow(path: string, clock: Clock, signal: AbortSignal, ended: Promise<unknown>): Promise<Readable> {
  const file = await open(path, 'r');
  const output = new PassThrough();
  let position = (await file.stat()).size;
  let isEnded = false;
  let wake = () => {};
  const onNews = () => wake();
  const watcher = watchOf(path, onNews);
  // Never rejects: an end does not.
  void ended.then(() => {
    isEnded = true;
    wake();
  });
  signal.addEventListener('abort', onNews);
  output.on('close', onNews);
  const copy = async () => {
    const buffer = Buffer.alloc(chunkBytes);
    while (!signal.aborted && !output.destroyed) {
      const wasEnded = isEnded;
      const { promise: news, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const { size } = await file.stat();
      if (size < position) position = 0;
      const { bytesRead } = await file.read(buffer, 0, chunkBytes, position);
      position += bytesRead;
      if (bytesRead > 0) {
        // Whoever does not read holds up only himself: the rest is in the file.
        if (!output.write(Buffer.from(buffer.subarray(0, bytesRead)))) await drainOf(output, signal);
      } else if (wasEnded) return;
      else {
        const waiting = new AbortController();
        // The sleep that lost the race is ended by hand.
        await Promise.race([news, sleep(clock, pollMs, waiting.signal).catch(() => {})]);
        waiting.abort();
      }
    }
  };
  // Never rejects.
  void copy()
    .catch((error) => output.destroy(error as Error))
    .finally(() => {
      watcher?.close();
      signal.removeEventListener('abort', onNews);
      output.end();
      void file.close().catch(() => {}); // It was only read.
    });
  return output;
}

/** The writing end of a FIFO that somebody reads; undefined when nobody does any more. What is full waits. */
function inputOf(path: string): Socket | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on('error', () => {}); // The program has ended.
    return socket;
  } catch {
    if (fd !== undefined) closeSync(fd);
    return undefined; // ENXIO: the program has ended.
  }
}

function watchOf(path: string, onNews: () => void) {
  try {
    const watcher = watch(path, { persistent: false }, onNews);
    watcher.on('error', () => {}); // Looked at now and then, then.
    return watcher;
  } catch {
    return undefined; // inotify has no watches left.
  }
}

function drainOf(output: PassThrough, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const name of ['drain', 'close']) output.off(name, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    for (const name of ['drain', 'close']) output.once(name, done);
    signal.addEventListener('abort', done);
  });
}
