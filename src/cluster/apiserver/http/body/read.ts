import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError } from '../../../../api/status.ts';

/** Kubernetes' own limit (apiserver `MaxRequestBodyBytes`), kept on what arrives and on what it unpacks to. */
export const bodyBytesMax = 3 * 1024 * 1024;

const tooLarge = () =>
  new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyBytesMax} bytes`);

/** The whole body. Throws ApiError 413 as soon as it is known to be too large, 415 for an unknown encoding. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
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
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > bodyBytesMax) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, 'BadRequest', 'the request ended before its body was complete, or the body is damaged');
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
}

/** Fails with the request, and ends it. */
function gunzipped(request: IncomingMessage): AsyncIterable<Buffer> {
  const unpacked = createGunzip();
  pipeline(request, unpacked, () => {}); // The reader of `unpacked` sees the error.
  return unpacked;
}
