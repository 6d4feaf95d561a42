import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { messageOf } from '../lib/errors.ts';
import { Agent as HttpAgent, request as httpRequest } from '../lib/node-http.ts';

export interface TransportRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Record<string, string>;
  /** A stream needs its `content-length` among the headers. */
  body?: Buffer | (() => Readable);
  signal?: AbortSignal | undefined;
}

/** How long a peer may take. */
export interface TransportTimeouts {
  /** A connection on which nothing comes or goes for this long is given up. */
  idleMs: number;
  /** From the end of a request to the head of its answer, and from there to the end of an answer that is read whole. */
  answerMs: number;
  /** For content in either direction, however it trickles. */
  transferMs: number;
}

export const defaultTimeouts: TransportTimeouts = { idleMs: 60_000, answerMs: 120_000, transferMs: 3_600_000 };

/** HTTP with connections that are kept; nothing is followed, nothing is decoded. */
export class Transport {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: 16 });
  readonly #https = new HttpsAgent({ keepAlive: true, maxSockets: 16 });
  readonly timeouts: TransportTimeouts;

  constructor(timeouts: Partial<TransportTimeouts> = {}) {
    this.timeouts = { ...defaultTimeouts, ...timeouts };
  }

  /** Resolves with the head; the caller reads or destroys the body. */
  async send(request: TransportRequest): Promise<IncomingMessage> {
    try {
      return await this.#sendOnce(request);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#sendOnce(request);
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #sendOnce({ method, url, headers = {}, body, signal }: TransportRequest): Promise<IncomingMessage> {
    const { idleMs, answerMs, transferMs } = this.timeouts;
    return new Promise((resolve, reject) => {
      let hasAnswer = false;
      const isTls = url.startsWith('https:');
      const sized = Buffer.isBuffer(body) || (!body && method !== 'GET' && method !== 'HEAD');
      const length: Record<string, string> = sized
        ? { 'content-length': String(Buffer.isBuffer(body) ? body.length : 0) }
        : {};
      const options: RequestOptions = {
        method,
        headers: { 'user-agent': 'kittiwake', ...length, ...headers },
        agent: isTls ? this.#https : this.#http,
        timeout: idleMs,
        ...(signal ? { signal } : {}),
      };
      const request = (isTls ? httpsRequest : httpRequest)(url, options, (response) => {
        hasAnswer = true;
        clearTimeout(deadline);
        response.on('error', () => {}); // Whoever reads it hears of it; of one that is only discarded, nobody need.
        resolve(response);
      });
      const giveUp = (ms: number) => request.destroy(new Error(`no answer came within ${ms} ms`));
      let deadline = setTimeout(giveUp, typeof body === 'function' ? transferMs : answerMs, answerMs);
      request.on('finish', () => {
        clearTimeout(deadline);
        if (!request.destroyed && !hasAnswer) deadline = setTimeout(giveUp, answerMs, answerMs);
      });
      request.on('timeout', () => request.destroy(new Error(`nothing came for ${idleMs} ms`)));
      request.on('close', () => clearTimeout(deadline));
      request.on('error', (error) => {
        // A kept connection that the peer closed just then: the request was not served, so it may be sent again.
        const isStale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
        reject(isStale ? new StaleConnection() : failed(method, url, error));
      });
      if (typeof body !== 'function') {
        request.end(body);
        return;
      }
      const stream = body();
      stream.on('error', (error) => request.destroy(error));
      // An answer may come before the stream was read: nobody reads it then.
      request.on('close', () => stream.destroy());
      stream.pipe(request);
    });
  }
}

class StaleConnection extends Error {}

/** Without what may hold a signature or a password. */
function failed(method: string, url: string, error: unknown): Error {
  const { origin = url, pathname = '' } = URL.parse(url) ?? {};
  return new Error(`${method} ${origin}${pathname}: ${messageOf(error)}`, { cause: error });
}

/** The whole body; refused when it is longer than `maxBytes` or takes longer than `maxMs`. */
export async function readAll(response: Readable, maxBytes: number, maxMs = defaultTimeouts.answerMs): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const deadline = setTimeout(() => response.destroy(new Error(`the answer took longer than ${maxMs} ms`)), maxMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(deadline);
  }
  return Buffer.concat(chunks);
}

const discardedBytesMax = 64 * 1024;
const discardedMs = 5_000;

/** Lets the connection of an answer that nobody reads be used again, or closes it when the answer does not end. */
export function discard(response: Readable): void {
  let sizeBytes = 0;
  const deadline = setTimeout(() => response.destroy(), discardedMs).unref();
  response.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > discardedBytesMax) response.destroy();
  });
  response.on('close', () => clearTimeout(deadline));
}
