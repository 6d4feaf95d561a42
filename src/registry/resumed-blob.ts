import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { backoffDelayMs } from '../lib/backoff.ts';
import { RegistryClientError } from './client-error.ts';
import { parseDigest } from './digest.ts';

export interface BlobRequest {
  /** `HOST/NAME`, for messages. */
  from: string;
  digest: string;
  /** More is refused. */
  maxBytes: number;
  /** Until all of it is here, however often it is taken up again. */
  wholeMs: number;
  signal: AbortSignal | undefined;
  /** Asks for the content from `offset` on; the answer is 2xx. It has `leftMs` to come, whole. */
  open(offset: number, leftMs: number): Promise<IncomingMessage>;
}

/** In a row, without progress; and all in all: whoever gives a byte at a time does so for so long. */
const failuresMax = 5;
const attemptsMax = 100;
/** That much is progress. */
const progressBytes = 64 * 1024;
const backoff = { firstMs: 100, maxMs: 5_000, factor: 3 };

/**
 * The content of a blob, checked as it streams. When the connection is cut, or nothing comes any more, it is asked for
 * again from where it ended: what came is neither thrown away nor hashed again.
 *
 *     open(0) ──▶ content ──cut──▶ pause ──▶ open(received) ──▶ content … ──▶ its digest is compared
 *
 * Rejects when it cannot be had at all; the stream fails when it cannot be had whole, or is another's content.
 */
export async function openBlob(request: BlobRequest): Promise<Readable> {
  const { from, digest, maxBytes, wholeMs, signal } = request;
  const wanted = parseDigest(digest);
  if (!wanted) throw new Error(`"${digest}" is no digest`);
  const endMs = performance.now() + wholeMs;
  const hash = createHash(wanted.algorithm);
  let received = 0;
  let attempts = 0;
  let failures = 0;
  let receivedAtFailure = 0;

  const open = async (): Promise<IncomingMessage> => {
    for (;;) {
      attempts++;
      try {
        return await request.open(received, Math.max(1, endMs - performance.now()));
      } catch (error) {
        await failed(error);
      }
    }
  };

  /** Waits until it may be tried again; throws `error` when it may not. */
  const failed = async (error: unknown): Promise<void> => {
    if (received - receivedAtFailure >= progressBytes) failures = 0;
    receivedAtFailure = received;
    const delayMs = backoffDelayMs(backoff, failures++);
    const isLate = performance.now() + delayMs >= endMs;
    if (isFinal(error) || failures > failuresMax || attempts >= attemptsMax || isLate || signal?.aborted) throw error;
    await pause(delayMs, undefined, signal ? { signal } : {});
  };

  async function* content(first: IncomingMessage): AsyncGenerator<Buffer> {
    for (let response = first; ; response = await open()) {
      try {
        // Who does not know Range gives all of it once more.
        let skipped = received - startOf(response, received);
        for await (const chunk of response as AsyncIterable<Buffer>) {
          const part = skipped === 0 ? chunk : chunk.subarray(skipped);
          skipped -= Math.min(skipped, chunk.length);
          received += part.length;
          if (received > maxBytes) throw refuse(`${digest} has more than the ${maxBytes} bytes that it should`);
          hash.update(part);
          if (part.length > 0) yield part;
        }
        break;
      } catch (error) {
        const isOurs = error instanceof RegistryClientError;
        const why = error instanceof Error ? error.message : String(error);
        await failed(isOurs ? error : new Error(`${from}: ${digest}: ${why}`, { cause: error }));
      }
    }
    const found = `${wanted?.algorithm}:${hash.digest('hex')}`;
    if (found !== digest) throw refuse(`the content has the digest ${found}, not ${digest}`);
  }

  const refuse = (why: string) => new RegistryClientError(`${from}: ${why}`, 502, 'DIGEST_INVALID');
  const first = await open();
  const stream = Readable.from(content(first), { objectMode: false, highWaterMark: 1024 * 1024 });
  // One that nobody begins to read never gets to the loop that ends the connection.
  stream.once('close', () => first.destroy());
  return stream;
}

/** Where the content of the answer begins: where it should, or at the beginning. */
function startOf({ statusCode, headers }: IncomingMessage, wanted: number): number {
  if (statusCode !== 206) return 0;
  const { 'content-range': range = '' } = headers;
  if (Number(/^bytes (\d{1,15})-/.exec(range)?.[1]) === wanted) return wanted;
  throw new Error(`asked for what follows byte ${wanted}, it gave ${JSON.stringify(range.slice(0, 100))}`);
}

/** Asking again cannot help: the registry has said no, or what came is not what was asked for. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof RegistryClientError)) return false;
  return (
    error.code === 'DIGEST_INVALID' ||
    error.code === 'NOT_FOLLOWED' ||
    (error.status < 500 && error.status !== 429 && error.status !== 408)
  );
}
