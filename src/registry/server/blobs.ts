import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { isRepositoryName } from '../reference.ts';
import { bodyOf } from './body.ts';
import type { Registry } from './context.ts';
import { methodNotAllowed, RegistryError } from './error.ts';
import { parseContentRange, requireDigest, uploadHeaders } from './uploads.ts';

/** GET and HEAD of a blob, whole or one range of it; DELETE. */
export async function serveBlob(
  { storage }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  digestText: string,
): Promise<void> {
  const digest = requireDigest(digestText);
  if (request.method === 'DELETE') {
    if (!(await storage.deleteBlob(name, digest))) throw unknownBlob(name, digestText);
    response.writeHead(202, { 'content-length': 0 }).end();
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD, DELETE');
  const isAsked = request.method === 'HEAD';
  const sizeBytes = await (isAsked ? storage.blobSizeForPush(name, digest) : storage.blobSize(name, digest));
  if (sizeBytes === undefined) throw unknownBlob(name, digestText);
  const headers: Record<string, string> = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    'docker-content-digest': digestText,
    etag: `"${digestText}"`,
    'cache-control': 'max-age=31536000, immutable',
  };
  const range = request.method === 'GET' ? parseRange(request.headers.range, sizeBytes) : undefined;
  if (range) headers['content-range'] = `bytes ${range.first}-${range.last}/${sizeBytes}`;
  const { first, last } = range ?? { first: 0, last: sizeBytes - 1 };
  response.writeHead(range ? 206 : 200, { ...headers, 'content-length': last - first + 1 });
  if (request.method === 'HEAD' || last < first) {
    response.end();
    return;
  }
  await sendFile(storage.blobPath(name, digest), first, last, response);
}

/** POST: a mount, a whole blob at once, or a new upload. */
export async function startUpload(
  { storage, uploads, pace }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  query: URLSearchParams,
): Promise<void> {
  if (request.method !== 'POST') throw methodNotAllowed('POST');
  const mount = query.get('mount');
  if (mount !== null) {
    const digest = requireDigest(mount);
    const from = query.get('from') ?? undefined;
    if (from !== undefined && !isRepositoryName(from)) {
      throw new RegistryError('NAME_INVALID', `"${from}", to mount from, is no repository name`);
    }
    if (await storage.mountBlob(name, digest, from)) {
      response.writeHead(201, { ...blobHeaders(name, mount), 'content-length': 0 }).end();
      return;
    }
  }
  const whole = query.get('digest');
  const digest = whole === null || mount !== null ? undefined : requireDigest(whole);
  if (digest === undefined) {
    const id = await uploads.start(name);
    response.writeHead(202, { ...uploadHeaders(name, id, 0), 'content-length': 0 }).end();
    return;
  }
  await uploads.receive(name, bodyOf(request, pace), digest);
  response.writeHead(201, { ...blobHeaders(name, whole ?? ''), 'content-length': 0 }).end();
}

/** PATCH adds, PUT finishes, GET says how far it is, DELETE gives up. */
export async function continueUpload(
  { uploads, pace }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  id: string,
  query: URLSearchParams,
): Promise<void> {
  const range = parseContentRange(request.headers['content-range']);
  switch (request.method) {
    case 'PATCH': {
      const sizeBytes = await uploads.append(name, id, bodyOf(request, pace), range);
      response.writeHead(202, { ...uploadHeaders(name, id, sizeBytes), 'content-length': 0 }).end();
      return;
    }
    case 'PUT': {
      const digest = requireDigest(query.get('digest'));
      await uploads.finish(name, id, bodyOf(request, pace), digest, range);
      const headers = blobHeaders(name, `${digest.algorithm}:${digest.hex}`);
      response.writeHead(201, { ...headers, 'content-length': 0 }).end();
      return;
    }
    case 'GET':
      response.writeHead(204, uploadHeaders(name, id, await uploads.size(name, id))).end();
      return;
    case 'DELETE':
      await uploads.cancel(name, id);
      response.writeHead(204).end();
      return;
    default:
      throw methodNotAllowed('PATCH, PUT, GET, DELETE');
  }
}

/** One byte range of RFC 9110 §14; undefined for none and for what may be ignored (several, or another unit). */
function parseRange(text: string | undefined, sizeBytes: number): { first: number; last: number } | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(text ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const isSuffix = match[1] === '';
  const first = isSuffix ? Math.max(0, sizeBytes - Number(match[2])) : Number(match[1]);
  const last = isSuffix || match[2] === '' ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1);
  if (!isSuffix && match[2] !== '' && Number(match[2]) < first) return undefined;
  if (first < sizeBytes) return { first, last };
  throw new RegistryError('SIZE_INVALID', `the blob has ${sizeBytes} bytes: the range ${text} is outside`, {
    status: 416,
    headers: { 'content-range': `bytes */${sizeBytes}` },
  });
}

async function sendFile(path: string, first: number, last: number, response: ServerResponse): Promise<void> {
  try {
    await pipeline(createReadStream(path, { start: first, end: last }), response);
  } catch (error) {
    // The head is gone already: only closing the connection tells the client that the body is not whole.
    response.destroy();
    if (!(error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE')) throw error;
  }
}

function blobHeaders(name: string, digest: string): Record<string, string> {
  return { location: `/v2/${name}/blobs/${digest}`, 'docker-content-digest': digest };
}

function unknownBlob(name: string, digest: string): RegistryError {
  return new RegistryError('BLOB_UNKNOWN', `${name} has no blob ${digest}`);
}
