import type { IncomingMessage, RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { Agent as HttpAgent, request as httpRequest } from '../lib/node-http.ts';

export interface TransportRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Record<string, string>;
  /** A stream needs its `content-length` among the headers. */
  body?: Buffer | (() => Readable);
  signal?: AbortSignal | undefined;
}

/** HTTP with connections that are kept; nothing is followed, nothing is decoded. */
export class Transport {
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: 16 });
  readonly #https = new HttpsAgent({ keepAlive: true, maxSockets: 16 });
  readonly #idleTimeoutMs: number;

  constructor(idleTimeoutMs = 60_000) {
    this.#idleTimeoutMs = idleTimeoutMs;
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
    return new Promise((resolve, reject) => {
      const isTls = url.startsWith('https:');
      const sized = Buffer.isBuffer(body) || (!body && method !== 'GET' && method !== 'HEAD');
      const length: Record<string, string> = sized
        ? { 'content-length': String(Buffer.isBuffer(body) ? body.length : 0) }
        : {};
      const options: RequestOptions = {
        method,
        headers: { 'user-agent': 'kittiwake', ...length, ...headers },
        agent: isTls ? this.#https : this.#http,
        timeout: this.#idleTimeoutMs,
        ...(signal ? { signal } : {}),
      };
      const request = (isTls ? httpsRequest : httpRequest)(url, options, resolve);
      request.on('timeout', () => {
        request.destroy(new Error(`${method} ${url}: nothing came for ${this.#idleTimeoutMs} ms`));
      });
      request.on('error', (error) => {
        // A kept connection that the peer closed just then: the request was not served, so it may be sent again.
        const isStale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
        reject(isStale ? new StaleConnection() : new Error(`${method} ${url}: ${error.message}`, { cause: error }));
      });
      if (typeof body === 'function') {
        const stream = body();
        stream.on('error', (error) => request.destroy(error));
        stream.pipe(request);
      } else {
        request.end(body);
      }
    });
  }
}

class StaleConnection extends Error {}

/** The whole body, refused when it is longer than `maxBytes`. */
export async function readAll(response: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
