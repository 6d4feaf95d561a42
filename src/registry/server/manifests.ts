import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../lib/errors.ts';
import { digestOf, parseDigest } from '../digest.ts';
import {
  type Descriptor,
  type Manifest,
  maxManifestBytes,
  mediaTypes,
  parseManifest,
  requiredBlobs,
} from '../manifest.ts';
import { isTag } from '../reference.ts';
import { bodyOf, type Pace } from './body.ts';
import type { Registry } from './context.ts';
import { methodNotAllowed, RegistryError } from './error.ts';
import type { Storage } from './storage.ts';
import { requireDigest } from './uploads.ts';

/**
 * A manifest by tag or digest: GET and HEAD give its exact bytes, PUT stores it, DELETE removes the tag or the
 * manifest.
 */
export async function serveManifest(
  registry: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): Promise<void> {
  const { storage } = registry;
  const isDigest = reference.includes(':');
  if (isDigest) requireDigest(reference);
  else if (!isTag(reference))
    throw new RegistryError('MANIFEST_INVALID', `"${reference}" is neither a tag nor a digest`);
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return getManifest(storage, request, response, name, reference);
    case 'PUT':
      return putManifest(registry, request, response, name, reference);
    case 'DELETE':
      await deleteManifest(storage, name, reference);
      response.writeHead(202, { 'content-length': 0 }).end();
      return;
    default:
      throw methodNotAllowed('GET, HEAD, PUT, DELETE');
  }
}

/** The tags of a repository, in pages of `n` after `last`. */
export async function serveTags(
  { storage }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  query: URLSearchParams,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
  if (!(await storage.hasRepository(name))) throw new RegistryError('NAME_UNKNOWN', `there is no repository ${name}`);
  const { page, headers } = paginate(await storage.tags(name), query, `/v2/${name}/tags/list`);
  sendJson(request, response, 'application/json', { name, tags: page }, headers);
}

/** The names of all repositories (Docker's catalogue, which many tools use). */
export async function serveCatalog(
  { storage }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
  const { page, headers } = paginate(await storage.repositories(), query, '/v2/_catalog');
  sendJson(request, response, 'application/json', { repositories: page }, headers);
}

/** An index of the manifests whose `subject` is the digest; empty when there are none. */
export async function serveReferrers(
  { storage }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  digest: string,
  query: URLSearchParams,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
  requireDigest(digest);
  const type = query.get('artifactType');
  const isFiltered = type !== null && type !== '';
  const headers: Record<string, string> = isFiltered ? { 'oci-filters-applied': 'artifactType' } : {};
  const manifests: Descriptor[] = [];
  let sizeBytes = 0;
  for await (const { key, descriptor, bytes } of storage.referrers(name, digest, query.get('last') ?? '')) {
    if (isFiltered && descriptor.artifactType !== type) continue;
    // Descriptors carry annotations: all in one answer may be more than anybody can hold. The one that begins a page
    // is always in it.
    sizeBytes += bytes;
    if (sizeBytes > maxManifestBytes && manifests.length > 0) {
      const last = new URLSearchParams({ ...(isFiltered ? { artifactType: type } : {}), last: key });
      headers.link = `</v2/${name}/referrers/${digest}?${last}>; rel="next"`;
      break;
    }
    manifests.push(descriptor);
  }
  const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests };
  sendJson(request, response, mediaTypes.index, index, headers);
}

async function getManifest(
  storage: Storage,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): Promise<void> {
  const digestText = reference.includes(':') ? reference : await storage.readTag(name, reference);
  const digest = parseDigest(digestText ?? '');
  const bytes = digest && (await storage.readManifest(name, digest));
  if (!bytes || digestText === undefined) throw unknownManifest(name, reference);
  response.writeHead(200, {
    'content-type': manifestOrNone(bytes)?.mediaType ?? 'application/octet-stream',
    'content-length': bytes.length,
    'docker-content-digest': digestText,
    etag: `"${digestText}"`,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function putManifest(
  { storage, turns, pace }: Registry,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  reference: string,
): Promise<void> {
  const bytes = await readBody(request, pace);
  const wanted = parseDigest(reference);
  const digestText = digestOf(bytes, wanted?.algorithm);
  if (wanted && digestText !== reference) {
    throw new RegistryError('DIGEST_INVALID', `the manifest has the digest ${digestText}, not ${reference}`);
  }
  const manifest = checkManifest(bytes, request.headers['content-type']);
  // Not while the repository is swept: what was just found to be there would go.
  await turns.hold(name, undefined, async () => {
    await requireContent(storage, name, manifest);
    await storage.writeManifest(name, requireDigest(digestText), bytes);
  });
  const headers: Record<string, string> = {
    location: `/v2/${name}/manifests/${digestText}`,
    'docker-content-digest': digestText,
  };
  if (manifest.subject) {
    await storage.addReferrer(name, manifest.subject.digest, referrerOf(manifest, digestText, bytes.length));
    headers['oci-subject'] = manifest.subject.digest;
  }
  if (!wanted) await storage.writeTag(name, reference, digestText);
  response.writeHead(201, { ...headers, 'content-length': 0 }).end();
}

/** Removes a manifest by digest, or a tag. */
export async function deleteManifest(storage: Storage, name: string, reference: string): Promise<void> {
  const digest = parseDigest(reference);
  if (!digest) {
    if (!(await storage.deleteTag(name, reference))) throw unknownManifest(name, reference);
    return;
  }
  const bytes = await storage.readManifest(name, digest);
  if (!bytes) throw unknownManifest(name, reference);
  const subject = manifestOrNone(bytes)?.subject;
  if (subject) await storage.removeReferrer(name, subject.digest, reference);
  await storage.deleteManifest(name, digest);
}

/** Undefined when what is stored is damaged: it is given as it is, for a client to refuse, and can be deleted. */
function manifestOrNone(bytes: Buffer): ReturnType<typeof parseManifest> | undefined {
  try {
    return parseManifest(bytes);
  } catch {
    return undefined;
  }
}

function checkManifest(bytes: Buffer, contentType: string | undefined): Manifest & { mediaType: string } {
  let manifest: Manifest & { mediaType: string };
  try {
    manifest = parseManifest(bytes);
  } catch (error) {
    throw new RegistryError('MANIFEST_INVALID', messageOf(error));
  }
  const declared = contentType?.split(';')[0]?.trim();
  if (declared !== undefined && declared !== manifest.mediaType) {
    const message = `Content-Type is ${declared}, the manifest's own mediaType is ${manifest.mediaType}`;
    throw new RegistryError('MANIFEST_INVALID', message);
  }
  return manifest;
}

/** What a manifest names must be there before it: nobody can ever pull half an image. The subject may come later. */
async function requireContent(storage: Storage, name: string, manifest: Manifest): Promise<void> {
  for (const { digest } of requiredBlobs(manifest)) {
    if ((await storage.blobSize(name, requireDigest(digest))) === undefined) throw missing(name, 'blob', digest);
  }
  for (const { digest } of manifest.manifests ?? []) {
    if (!(await storage.hasManifest(name, requireDigest(digest)))) throw missing(name, 'manifest', digest);
  }
}

function missing(name: string, what: string, digest: string): RegistryError {
  return new RegistryError('MANIFEST_BLOB_UNKNOWN', `${name} has no ${what} ${digest}: push it before the manifest`);
}

/** OCI distribution specification 1.1, "Listing Referrers". */
function referrerOf(manifest: Manifest & { mediaType: string }, digest: string, size: number): Descriptor {
  const artifactType = manifest.artifactType ?? manifest.config?.mediaType;
  return {
    mediaType: manifest.mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
  };
}

async function readBody(request: IncomingMessage, pace: Pace): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of bodyOf(request, pace)) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxManifestBytes) {
      throw new RegistryError('SIZE_INVALID', `a manifest may have ${maxManifestBytes} bytes`, { status: 413 });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function paginate(all: string[], query: URLSearchParams, path: string) {
  const last = query.get('last');
  const rest = last === null ? all : all.filter((item) => item > last);
  const n = query.get('n');
  if (n !== null && !/^\d{1,6}$/.test(n)) throw new RegistryError('UNSUPPORTED', `n is "${n}"`, { status: 400 });
  const page = n === null ? rest : rest.slice(0, Number(n));
  const end = page.at(-1);
  const headers: Record<string, string> =
    n === null || page.length === rest.length || end === undefined
      ? {}
      : { link: `<${path}?n=${n}&last=${encodeURIComponent(end)}>; rel="next"` };
  return { page, headers };
}

function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  contentType: string,
  value: unknown,
  headers: Record<string, string>,
): void {
  const body = Buffer.from(JSON.stringify(value));
  response.writeHead(200, { ...headers, 'content-type': contentType, 'content-length': body.length });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function unknownManifest(name: string, reference: string): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', `${name} has no manifest ${reference}`);
}
