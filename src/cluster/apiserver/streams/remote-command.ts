import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, type Status } from '../../../api/status.ts';
import { type Clock, sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Streams } from '../../pod-streams.ts';

/** Which streams a client wants of a command (the query of `exec` and `attach`). */
export interface WantedStreams {
  stdin: boolean;
  stdout: boolean;
  /** Never with a terminal, which has one output only. */
  stderr: boolean;
  tty: boolean;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** A client that runs a command, whatever protocol it speaks: the other end of the command's streams. */
export interface RemoteClient {
  stdin: Readable | undefined;
  stdout: Writable | undefined;
  stderr: Writable | undefined;
  onResize(listener: (size: TerminalSize) => void): void;
  /** Aborts when the client is gone. */
  gone: AbortSignal;
  /** Tells how it ended, after all output, and ends the connection. */
  finish(status: RemoteStatus): Promise<void>;
}

/** A Status as Kubernetes sends it at the end of a command: its `kind` is left out. */
export type RemoteStatus = Partial<Status> & Pick<Status, 'status' | 'metadata'>;

/** A command has ended, but what it has started may hold its output open: so long it may be silent. */
const lingerMs = 1000;

/** Connects a client with the command that `start` starts, and tells it how that ended. Never rejects. */
export async function serveRemoteCommand(
  client: RemoteClient,
  { clock, start, verb }: { clock: Clock; start(signal: AbortSignal): Promise<Streams>; verb: 'exec' | 'attach' },
): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([client.gone, ending.signal]);
  let status: RemoteStatus;
  let streams: Streams | undefined;
  /** A client says it at once, and a command may take its time to start. */
  let size: TerminalSize | undefined;
  client.onResize((wanted) => {
    size = wanted;
    streams?.resize?.(wanted);
  });
  try {
    streams = await start(signal);
    if (size) streams.resize?.(size);
    const exitCode = await run(client, streams, clock);
    // Who attached to a program asks the pod how it ended.
    status = statusOf(verb === 'attach' ? 0 : exitCode);
  } catch (error) {
    status = failureOf(error, verb);
  }
  ending.abort();
  await client.finish(status).catch(() => {}); // The client is gone: nobody is told.
}

/** Resolves with the exit code when all output is with the client. */
async function run(client: RemoteClient, streams: Streams, clock: Clock): Promise<number> {
  const { stdin, stdout, stderr, exited } = streams;
  feed(client.stdin, stdin);
  const outputs = [
    [stdout, client.stdout],
    [stderr, client.stderr],
  ] as const;
  let isMoving = true;
  const through = outputs.map(async ([from, to]) => {
    from?.on('data', () => {
      isMoving = true;
    });
    if (!from) return;
    // What the client did not ask for is read all the same: the command must not wait for it.
    if (to) await pipeline(from, to);
    else await drop(from);
  });
  const allThrough = Promise.allSettled(through);
  const exitCode = await exited;
  const done = allThrough.then(() => 'done' as const);
  for (;;) {
    isMoving = false;
    if ((await Promise.race([done, sleep(clock, lingerMs)])) === 'done') break;
    const isWaiting = outputs.some(([from, to]) => (from?.readableLength ?? 0) + (to?.writableLength ?? 0) > 0);
    if (client.gone.aborted || !(isMoving || isWaiting)) break;
  }
  return exitCode;
}

/** Passes on what the client sends; what a command no longer reads is dropped, so that the client does not wait. */
function feed(from: Readable | undefined, to: Writable | undefined): void {
  if (!from) return;
  const dropRest = () => {
    from.unpipe();
    from.resume();
  };
  if (!to) {
    dropRest();
    return;
  }
  to.on('error', dropRest); // A pipe that nobody reads any more.
  to.once('close', dropRest);
  from.pipe(to);
  from.on('error', () => to.destroy());
}

async function drop(from: Readable): Promise<void> {
  from.resume();
  await new Promise<void>((resolve) => from.once('close', resolve));
}

/** In the words of the kubelet. */
function statusOf(exitCode: number): RemoteStatus {
  if (exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: `${exitCode}` }] },
  };
}

function failureOf(error: unknown, verb: 'exec' | 'attach'): RemoteStatus {
  const what = verb === 'exec' ? 'error executing command in container' : 'error attaching to container';
  const message = error instanceof ApiError ? error.message : `${what}: ${messageOf(error)}`;
  return {
    metadata: {},
    status: 'Failure',
    message: `Internal error occurred: ${message}`,
    reason: 'InternalError',
    details: { causes: [{ message }] },
    code: 500,
  };
}

/** Since version 4 a Status tells how it ended, as JSON; before, a text that it failed. */
export function errorText(status: RemoteStatus, version: number): string {
  if (version >= 4) return JSON.stringify(status);
  return status.status === 'Success' ? '' : (status.message ?? '');
}

const sizeTextMax = 1024;

/** Reads sizes of a terminal from what a client sends of them: JSON objects, one after the other. */
export function sizeReader(onSize: (size: TerminalSize) => void): (bytes: Buffer) => void {
  let text = '';
  return (bytes) => {
    text += bytes.toString('latin1');
    const objects = text.split('}');
    text = objects.pop() ?? '';
    for (const object of objects) {
      const size = sizeOf(`${object}}`);
      if (size) onSize(size);
    }
    if (text.length > sizeTextMax) text = '';
  };
}

function sizeOf(text: string): TerminalSize | undefined {
  let value: { Width?: unknown; Height?: unknown } | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // No size: a terminal that keeps its size harms nobody.
  }
  const [columns, rows] = [value?.Width, value?.Height].map(Number);
  const isSize = (each: number | undefined): each is number => Number.isInteger(each) && Number(each) > 0;
  return isSize(columns) && isSize(rows) && columns < 65536 && rows < 65536 ? { columns, rows } : undefined;
}
