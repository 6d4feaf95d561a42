import { open, stat } from 'node:fs/promises';
import { type Clock, sleep } from '../../../lib/clock.ts';
import { filesMax, type LogFiles } from './log-files.ts';

export interface ReadLogOptions {
  follow?: boolean;
  /** Only this many lines from the end. */
  tailLines?: number;
  /** Only lines that were written since (milliseconds since 1970). */
  sinceMs?: number;
  /** Each line after the time at which it was seen, RFC 3339. */
  timestamps?: boolean;
  limitBytes?: number;
  signal?: AbortSignal | undefined;
}

interface Segment {
  path: string;
  /** The place in the whole log at which the file begins. */
  start: number;
  size: number;
}

const blockBytes = 64 * 1024;
const followPollMs = 100;
/** A program can make its log rotate as fast as it is read. */
const readTries = 5;
/** A longer line comes in pieces. */
const lineMax = 1024 * 1024;

/** Reads the log of one run over its rotated files, in whole lines; with `follow` until the container ends. */
export async function* readLog(
  path: string,
  { logs, clock, maxFiles = filesMax }: { logs: LogFiles; clock: Clock; maxFiles?: number },
  options: ReadLogOptions,
): AsyncGenerator<Buffer> {
  const { follow = false, timestamps = false, signal } = options;
  const segmentsNow = () => segmentsOf(path, logs.timesOf(path).rotated, maxFiles);
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let place = await firstPlace(path, await segmentsNow(), logs, options);
  let partial: Buffer = Buffer.alloc(0);
  const next = async () => {
    for (let tries = 1; ; tries++) {
      const { rotated } = logs.timesOf(path);
      const block = await readAt(await segmentsOf(path, rotated, maxFiles), place);
      // Rotated between looking and reading, the files are no longer where they were.
      if (tries === readTries || logs.timesOf(path).rotated === rotated) return block;
    }
  };

  for (;;) {
    // Asked before reading: what is written until the end is read once more.
    const isOpen = logs.isOpen(path);
    for (let block = await next(); block; block = await next()) {
      place = block.place + block.bytes.length;
      const bytes = Buffer.concat([partial, block.bytes]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      partial = bytes.length - end > lineMax ? Buffer.alloc(0) : bytes.subarray(end);
      const lines = bytes.subarray(0, bytes.length - partial.length);
      if (lines.length === 0) continue;
      const out = timestamps ? stamped(lines, place - partial.length, logs, path, clock) : lines;
      yield out.subarray(0, left);
      left -= out.length;
      if (left <= 0 || signal?.aborted) return;
    }
    if (!follow || !isOpen) break;
    await sleep(clock, followPollMs, signal).catch(() => undefined); // Aborted: said next.
    if (signal?.aborted) return;
  }
  if (partial.length > 0) {
    yield (timestamps ? stamped(partial, place, logs, path, clock) : partial).subarray(0, left);
  }
}

/** The files of a log, the oldest first. */
async function segmentsOf(path: string, rotated: number, maxFiles: number): Promise<Segment[]> {
  const segments: Segment[] = [{ path, start: rotated, size: await sizeOf(path) }];
  for (let number = 1; number < maxFiles; number++) {
    const size = await sizeOf(`${path}.${number}`);
    const next = segments[0];
    if (size === 0 || !next) break;
    segments.unshift({ path: `${path}.${number}`, start: next.start - size, size });
  }
  return segments;
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0; // Not written yet, or removed.
  }
}

async function firstPlace(path: string, segments: Segment[], logs: LogFiles, options: ReadLogOptions): Promise<number> {
  const { tailLines, sinceMs } = options;
  const begin = segments[0]?.start ?? 0;
  let place = begin;
  if (sinceMs !== undefined) place = Math.max(place, logs.timesOf(path).placeAt(sinceMs));
  if (tailLines !== undefined) place = Math.max(place, await placeOfTail(segments, tailLines));
  return place;
}

/** Where the last `lines` lines begin; a last line without its newline counts. */
async function placeOfTail(segments: Segment[], lines: number): Promise<number> {
  const last = segments.at(-1);
  const end = last ? last.start + last.size : 0;
  if (lines === 0) return end;
  let wanted = lines;
  for (const { path, start, size } of segments.toReversed()) {
    for (let to = size; to > 0; to -= blockBytes) {
      const from = Math.max(0, to - blockBytes);
      const bytes = await readBytes(path, from, to - from);
      for (let i = bytes.lastIndexOf(0x0a); i >= 0; i = i === 0 ? -1 : bytes.lastIndexOf(0x0a, i - 1)) {
        const place = start + from + i + 1;
        if (place !== end && --wanted === 0) return place;
      }
    }
  }
  return segments[0]?.start ?? 0;
}

/** What stands at `place`, or at the start of what is left when that was rotated away; undefined at the end. */
async function readAt(segments: Segment[], place: number): Promise<{ place: number; bytes: Buffer } | undefined> {
  const segment = segments.find(({ start, size }) => size > 0 && place < start + size);
  if (!segment) return undefined;
  const from = Math.max(place, segment.start);
  const length = Math.min(blockBytes, segment.start + segment.size - from);
  const bytes = await readBytes(segment.path, from - segment.start, length);
  return bytes.length === 0 ? undefined : { place: from, bytes };
}

async function readBytes(path: string, from: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return Buffer.alloc(0); // Rotated away this moment.
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, from);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Puts before each line the time at which it was seen; `endPlace` is the place after the last byte. */
function stamped(lines: Buffer, endPlace: number, logs: LogFiles, path: string, clock: Clock): Buffer {
  const times = logs.timesOf(path);
  const parts: Buffer[] = [];
  const startPlace = endPlace - lines.length;
  for (let at = 0; at < lines.length; ) {
    const newline = lines.indexOf(0x0a, at);
    const end = newline < 0 ? lines.length : newline + 1;
    const seenMs = times.timeAt(startPlace + end) ?? clock.now();
    parts.push(Buffer.from(`${new Date(seenMs).toISOString().replace('Z', '000000Z')} `), lines.subarray(at, end));
    at = end;
  }
  return Buffer.concat(parts);
}
