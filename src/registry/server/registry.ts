import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { isCrossSite } from '../../lib/cross-site.ts';
import { commonErrors, isDiskFull } from '../../lib/errors.ts';
import { inTurn } from '../../lib/in-turn.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { createServer } from '../../lib/node-http.ts';
import { type ListenHandle, listen, loopback, urlOf } from '../../observe/listen.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { isRepositoryName } from '../reference.ts';
import { continueUpload, serveBlob, startUpload } from './blobs.ts';
import type { Pace } from './body.ts';
import type { Registry } from './context.ts';
import { methodNotAllowed, RegistryError } from './error.ts';
import { collectGarbage } from './garbage.ts';
import { serveCatalog, serveManifest, serveReferrers, serveTags } from './manifests.ts';
import { hasCode, Storage } from './storage.ts';
import { defaultUploadLimits, type UploadLimits, Uploads } from './uploads.ts';

export interface RegistryOptions {
  /** The content-addressed folder; made when it is not there. */
  dir: string;
  /** Loopback unless given; also what a client may call it by. */
  host?: string;
  /** 0 takes any free one. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
  limits?: Partial<UploadLimits>;
  pace?: Partial<Omit<Pace, 'clock'>>;
  /**
   * The digests that someone outside names, asked for by the sweep. With it, a manifest that has no tag and that nobody
   * names for a day is removed; without it, manifests stay until they are deleted.
   */
  digestsInUse?: () => Promise<ReadonlySet<string>>;
}

export interface RunningRegistry {
  /** For example `http://127.0.0.1:8082`. */
  url: string;
  port: number;
  stop(): Promise<void>;
}

const sweepMs = 3_600_000;
/** Soon, because many a platform is up for less than an hour; not at once, because starting has enough to do. */
const firstSweepMs = 60_000;
/** Longer than any push takes from its first blob to its manifest. */
const garbageGraceMs = 24 * 3_600_000;
const discardedBytesMax = 16 * 1024 * 1024;
const defaultPace = { bytesMin: 64 * 1024, everyMs: 60_000 };
/** More than any client opens; each may hold the buffers of one request. */
const connectionsMax = 1000;
/** A connection on which nothing moves for this long, such as a download that nobody reads, is closed. */
const socketIdleMs = 600_000;

/**
 * Starts an OCI distribution registry (specification 1.1: pull, push, discovery and management). Throws PORT_IN_USE.
 * Nothing is read at start: the folder is the state.
 */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { dir, host = loopback, port, handle, clock, log, metrics } = options;
  const storage = new Storage(dir);
  const uploads = new Uploads(storage, clock, { ...defaultUploadLimits, ...options.limits });
  const pace = { clock, ...defaultPace, ...options.pace };
  const registry: Registry = { host, storage, uploads, pace, turns: new Mutexes() };
  const requests = metrics?.counter('kittiwake_registry_requests_total', 'Requests answered', ['method', 'code']);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (request, response) => {
    response.on('close', () => {
      requests?.inc({ method: request.method ?? '', code: String(response.statusCode) });
    });
    inTurn(request.socket, response, () => serve(registry, request, response))
      .catch((error) => fail(dir, error, request, response, log))
      .catch((err) => {
        log.error({ err, path: request.url }, 'a request could not be answered');
        response.destroy();
      });
  });
  server.maxConnections = connectionsMax;
  server.timeout = socketIdleMs;
  const bound = await listen(server, { host, port, role: 'registry', flag: '--registry-port', handle, log });
  const stopSweeping = repeat(clock, firstSweepMs, sweepMs, () =>
    sweep(registry, options).catch((err) => log.warn({ err }, 'the registry could not be swept')),
  );
  return {
    url: urlOf(bound, host),
    port: bound,
    stop() {
      stopSweeping();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function sweep({ storage, uploads, turns }: Registry, options: RegistryOptions): Promise<void> {
  const { clock, log, digestsInUse } = options;
  await uploads.expire();
  const nowMs = clock.now();
  const onFailure = (repository: string, err: unknown) => {
    log.warn({ err, repository }, 'a repository could not be swept');
  };
  const collected = await collectGarbage(storage, { nowMs, graceMs: garbageGraceMs, turns, digestsInUse, onFailure });
  if (collected.manifests + collected.blobs > 0) log.info(collected, 'what nothing needed was removed');
}

async function serve(registry: Registry, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader('docker-distribution-api-version', 'registry/2.0');
  requireOwnName(request.headers.host, registry.host);
  if (isCrossSite(request.headers)) {
    throw new RegistryError('DENIED', 'the registry does not answer to pages of other sites in a browser');
  }
  const { path, query } = splitTarget(request.url ?? '/');
  if (path === '/v2' || path === '/v2/') {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed('GET, HEAD');
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 });
    response.end(request.method === 'HEAD' ? undefined : '{}');
    return;
  }
  if (path === '/v2/_catalog') return serveCatalog(registry, request, response, query);
  const match = /^\/v2\/(.+)\/(blobs|manifests|referrers|tags)\/(uploads\/[^/]*|[^/]+)$/.exec(path);
  const [, name = '', collection, last = ''] = match ?? [];
  if (!match) throw new RegistryError('UNSUPPORTED', `there is nothing at ${path}`, { status: 404 });
  if (!isRepositoryName(name)) throw new RegistryError('NAME_INVALID', `"${name}" is no repository name`);
  if (collection === 'manifests') return serveManifest(registry, request, response, name, last);
  if (collection === 'referrers') return serveReferrers(registry, request, response, name, last, query);
  if (collection === 'tags' && last === 'list') return serveTags(registry, request, response, name, query);
  if (collection === 'blobs') {
    if (!last.startsWith('uploads/') && last !== 'uploads') return serveBlob(registry, request, response, name, last);
    const id = last.slice('uploads/'.length);
    if (id === '') return startUpload(registry, request, response, name, query);
    return continueUpload(registry, request, response, name, id, query);
  }
  throw new RegistryError('UNSUPPORTED', `there is nothing at ${path}`, { status: 404 });
}

/** A page in a browser must not reach the registry by a name of its own that leads to 127.0.0.1 (DNS rebinding). */
function requireOwnName(host: string | undefined, own: string): void {
  const name = (host ?? '').replace(/:\d+$/, '').toLowerCase();
  if (name === own || name === `[${own}]`) return;
  if (/^(127(\.\d+){3}|\[::1\]|localhost|([a-z0-9-]+\.)+localhost)$/.test(name)) return;
  throw new RegistryError('DENIED', `the registry answers to 127.0.0.1 and localhost, not to "${host ?? ''}"`);
}

function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const mark = target.indexOf('?');
  const raw = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  try {
    return { path: decodeURIComponent(raw), query };
  } catch {
    throw new RegistryError('NAME_INVALID', `the path ${raw} is not well encoded`);
  }
}

function fail(dir: string, error: unknown, request: IncomingMessage, response: ServerResponse, log: Logger): void {
  if (response.destroyed || request.errored) return; // The client went away: there is nobody to tell.
  const known = asRegistryError(dir, error);
  if (known.status >= 500) log.error({ err: error, method: request.method, path: request.url }, 'request failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = known.body();
  // The rest of the body is of no use, but a client that still sends must get to read the answer.
  if (!request.complete) discard(request, discardedBytesMax);
  const headers = {
    ...known.headers,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  response.writeHead(known.status, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Reads and forgets what is left of the body; a client that sends more than `maxBytes` of it is cut off. */
function discard(request: IncomingMessage, maxBytes: number): void {
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) request.destroy();
  });
}

function asRegistryError(dir: string, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  if (isDiskFull(error)) {
    const { message, status } = commonErrors.DISK_FULL({ path: dir }, { cause: error });
    return new RegistryError('UNKNOWN', message, { status });
  }
  if (hasCode(error, 'ENAMETOOLONG')) return new RegistryError('NAME_INVALID', 'the name is too long');
  return new RegistryError('UNKNOWN', 'the registry failed: its log says why');
}

/** The task begins `everyMs` after its last run ended. */
function repeat(clock: Clock, firstMs: number, everyMs: number, task: () => Promise<void>): () => void {
  let hasStopped = false;
  let cancel = clock.after(firstMs, again);
  function again(): void {
    // `task` handles its own failures.
    void task().finally(() => {
      if (!hasStopped) cancel = clock.after(everyMs, again);
    });
  }
  return () => {
    hasStopped = true;
    cancel();
  };
}
