/** Three ways to read the body of a reply, all of them bounded, and one not to. */
import type { IncomingMessage } from 'node:http';
import type { ByteBudget } from './byte-budget.ts';
import { GrowingBuffer } from './growing-buffer.ts';
import { asNoReply, NoReplyError } from './http-client.ts';

export interface Body {
  bytes: Buffer;
  /** There was more: it is not read. */
  isCut: boolean;
}

/**
 * At most `maxBytes` of the body. Rejects with NoReplyError when it breaks off before. What is on its way is counted
 * against `budget`.
 */
export async function readBody(response: IncomingMessage, maxBytes: number, budget?: ByteBudget): Promise<Body> {
  const { error, ...body } = await collect(response, maxBytes, budget);
  if (error) throw error;
  return body;
}

/** The whole body. Throws when it has more than `maxBytes`, and NoReplyError when it breaks off. */
export async function readWhole(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { bytes, isCut } = await readBody(response, maxBytes);
  if (isCut) throw new Error(`the reply is longer than ${maxBytes} bytes`);
  return bytes;
}

/** What came of the body, up to `maxBytes`, for messages. Never rejects. */
export async function readSome(response: IncomingMessage, maxBytes: number): Promise<string> {
  return (await collect(response, maxBytes)).bytes.toString('utf8');
}

const discardedBytesMax = 64 * 1024;
const discardedMs = 5_000;

/** Lets the connection of a reply that nobody reads be used again, or closes it when the reply does not end. */
export function discard(response: IncomingMessage): void {
  const timer = setTimeout(() => response.destroy(), discardedMs).unref();
  void readSome(response, discardedBytesMax).then(() => clearTimeout(timer)); // It never rejects.
}

function collect(response: IncomingMessage, maxBytes: number, budget?: ByteBudget): Promise<Body & { error?: Error }> {
  const pieces = new GrowingBuffer();
  let taken = 0;
  return new Promise((resolve) => {
    let isDone = false;
    const finish = (isCut: boolean, error?: Error) => {
      if (isDone) return;
      isDone = true;
      budget?.giveBack(taken);
      const bytes = pieces.whole().subarray(0, maxBytes);
      resolve(error ? { bytes, isCut, error } : { bytes, isCut });
    };
    const fail = (error: unknown) => finish(true, asNoReply(error, 'peer'));
    const onClose = () => {
      // An error costs 10 µs: only where there is one.
      if (!isDone)
        fail(response.errored ?? new NoReplyError('the connection closed before the reply was complete', 'NO_REPLY'));
    };
    response.on('data', (chunk: Buffer) => {
      if (isDone) return;
      if (budget && !budget.tryTake(chunk.length)) {
        response.destroy(new Error(`its replies hold ${budget.held} bytes that are not complete: too many at once`));
        return;
      }
      taken += chunk.length;
      pieces.push(chunk);
      if (pieces.length <= maxBytes) return;
      finish(true);
      response.destroy();
    });
    response.on('end', () => finish(false));
    response.on('error', fail);
    response.on('close', onClose);
    if (response.closed) onClose(); // It had ended before anybody came to read it.
  });
}
