import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError } from '../../../../api/status.ts';
import type { Exchange } from '../exchange.ts';

/** Kubernetes' own limit (apiserver `MaxRequestBodyBytes`), kept on what arrives and on what it unpacks to. */
export const bodyBytesMax = 3 * 1024 * 1024;

const tooLarge = () =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyBytesMax} bytes`);

/**
 * The whole body. Throws ApiError 413 as soon as it is known to be too large, 415 for an unknown encoding, 429 when the
 * bodies of all requests together hold too much.
 */
export async function readBody(exchange: Exchange): Promise<Buffer> {
  const { request } = exchange;
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge();
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new ApiError(
      415,
      'UnsupportedMediaType',
      `the body's content encoding ${encoding} is not supported: use gzip`,
    );
  }
  const stream = encoding === 'gzip' ? gunzipped(request) : request;
  const chunks: Buffer[] = [];
  const hold = holder(exchange);
  let size = 0;
  try {
    // Leaving early must not destroy the request: its answer goes over the same connection.
    for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > bodyBytesMax) throw tooLarge();
      hold(chunk.length);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, 'BadRequest', 'the request ended before its body was complete, or the body is damaged');
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
}

/** Counts what a body holds until its request is answered. */
function holder({ bodies, limits, response }: Exchange): (bytes: number) => void {
  let held = 0;
  response.once('close', () => {
    bodies.heldBytes -= held;
  });
  return (bytes) => {
    if (bodies.heldBytes + bytes > limits.bodyBytesMax) {
      const what = `the bodies of requests that are being answered hold ${limits.bodyBytesMax} bytes`;
      throw new ApiError(429, 'TooManyRequests', `${what}, which is all there is room for: try again later`, {
        retryAfterSeconds: 1,
      });
    }
    held += bytes;
    bodies.heldBytes += bytes;
  };
}

/** Fails with the request, and ends it. */
function gunzipped(request: IncomingMessage): Readable {
  const unpacked = createGunzip();
  pipeline(request, unpacked, () => {}); // The reader of `unpacked` sees the error.
  return unpacked;
}
