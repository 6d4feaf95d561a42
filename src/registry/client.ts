import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { messageOf } from '../lib/errors.ts';
import { discard, readSome, readWhole } from '../lib/http-body.ts';
import { HttpClient, targetOf } from '../lib/http-client.ts';
import { type Authorization, answerChallenge, type Credentials } from './auth.ts';
import { RegistryClientError } from './client-error.ts';
import { digestOf, parseDigest } from './digest.ts';
import { type Descriptor, type Manifest, manifestMediaTypes, maxManifestBytes, parseManifest } from './manifest.ts';
import { formatReference, parseReference, type Reference } from './reference.ts';
import { openBlob } from './resumed-blob.ts';

/** How long a registry may take. */
export interface RegistryTimeouts {
  /** A connection on which nothing comes or goes for this long is given up. */
  idleMs: number;
  /** From the end of a request to the head of its answer; and all in all for what is no content. */
  answerMs: number;
  /** For content in either direction, however it trickles. */
  transferMs: number;
}

const defaultTimeouts: RegistryTimeouts = { idleMs: 60_000, answerMs: 120_000, transferMs: 3_600_000 };

export interface RegistryClientOptions {
  /** Where a host of references really is: `{'registry.localhost': 'http://127.0.0.1:8082'}`. */
  mirrors?: Record<string, string>;
  /** What to answer when the host asks who we are, for a repository of it. */
  auth?: (host: string, name: string) => Credentials | undefined | Promise<Credentials | undefined>;
  /** Hosts, with their ports, that are asked without TLS; those of this machine always are. */
  plainHttpHosts?: readonly string[];
  /** How long registries may take; a minute, two and an hour unless given. */
  timeouts?: Partial<RegistryTimeouts>;
}

/** A blob to push. `mountFrom` names a repository of the same registry that may have it already. */
export interface BlobSource {
  descriptor: Descriptor;
  content: Buffer | (() => Readable);
  mountFrom?: string | undefined;
}

type Target = string | Reference;

/** Answers to challenges, new tokens and redirects, all in all. */
const hopsMax = 6;
const authorizationsMax = 1000;
/** As much as the embedded registry takes. */
const blobBytesMax = 16 * 1024 ** 3;

/**
 * Pulls from and pushes to any registry that speaks the OCI distribution specification. All content is checked against
 * its digest on the way in. References are as in `parseReference`; failures are RegistryClientError or
 * network errors; each names the registry.
 */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #shared: Shared;
  readonly #timeouts: RegistryTimeouts;
  /** Who it is that asks: what one may have is not for another. */
  readonly #identity: string;

  constructor(options: RegistryClientOptions = {}, shared?: Shared, identity = '') {
    this.#options = options;
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts };
    this.#shared = shared ?? { client: new HttpClient({ connectionsMax: 16 }), authorizations: new Map() };
    this.#identity = identity;
  }

  /** The same client for who has these credentials, or none: it lives and is closed with this one. */
  as(credentials: Credentials | undefined): RegistryClient {
    const identity = createHash('sha256')
      .update(JSON.stringify(credentials ?? null))
      .digest('base64');
    return new RegistryClient({ ...this.#options, auth: () => credentials }, this.#shared, identity);
  }

  /** The digest that the reference points to now; its own when it has one, after asking whether it is there. */
  async resolve(target: Target, signal?: AbortSignal): Promise<string> {
    const reference = read(target);
    const response = await this.#request(reference, 'pull', {
      method: 'HEAD',
      path: `manifests/${tagOrDigest(reference)}`,
      headers: { accept: manifestMediaTypes.join(', ') },
      signal,
    });
    discard(response);
    const digest = response.headers['docker-content-digest'];
    if (typeof digest === 'string' && parseDigest(digest)) return digest;
    return (await this.manifest(reference, signal)).digest;
  }

  /** The manifest, with its exact bytes. */
  async manifest(
    target: Target,
    signal?: AbortSignal,
  ): Promise<{ digest: string; mediaType: string; bytes: Buffer; manifest: Manifest }> {
    const reference = read(target);
    const response = await this.#request(reference, 'pull', {
      method: 'GET',
      path: `manifests/${tagOrDigest(reference)}`,
      headers: { accept: manifestMediaTypes.join(', ') },
      signal,
    });
    const bytes = await this.#naming(reference, () => readWhole(response, maxManifestBytes));
    const digest = digestOf(bytes, parseDigest(reference.digest ?? '')?.algorithm);
    if (reference.digest !== undefined && reference.digest !== digest) {
      throw new RegistryClientError(`${formatReference(reference)}: what came has the digest ${digest}`, 502);
    }
    const manifest = await this.#naming(reference, async () => parseManifest(bytes));
    return { digest, mediaType: manifest.mediaType, bytes, manifest };
  }

  /**
   * The blob's content, taken up again where it was cut off; the stream fails at its end when the content does not have
   * the digest, and before when there is more of it than `sizeBytes`, or it takes too long.
   */
  async blob(target: Target, digest: string, signal?: AbortSignal, sizeBytes = blobBytesMax): Promise<Readable> {
    const reference = read(target);
    return openBlob({
      ...{ from: `${reference.host}/${reference.name}`, digest, maxBytes: sizeBytes, signal },
      wholeMs: this.#timeouts.transferMs,
      open: (offset, leftMs) => {
        const headers: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
        const request = { method: 'GET', path: `blobs/${digest}`, headers, signal, wholeMs: leftMs };
        return this.#request(reference, 'pull', request);
      },
    });
  }

  async hasBlob(target: Target, digest: string, signal?: AbortSignal): Promise<boolean> {
    return this.#exists(read(target), `blobs/${digest}`, signal);
  }

  async hasManifest(target: Target, signal?: AbortSignal): Promise<boolean> {
    const reference = read(target);
    return this.#exists(reference, `manifests/${tagOrDigest(reference)}`, signal);
  }

  /** Makes the repository have the blob: a HEAD when it does, a mount when another has it, an upload otherwise. */
  async pushBlob(target: Target, source: BlobSource, signal?: AbortSignal): Promise<void> {
    const reference = read(target);
    const { content } = source;
    const { digest, size } = source.descriptor;
    if (await this.hasBlob(reference, digest, signal)) return;
    const mount =
      source.mountFrom === undefined ? '' : `?${new URLSearchParams({ mount: digest, from: source.mountFrom })}`;
    const started = await this.#request(reference, 'pull,push', {
      method: 'POST',
      path: `blobs/uploads/${mount}`,
      signal,
    });
    discard(started);
    if (started.statusCode === 201) return;
    const location = started.headers.location;
    if (location === undefined) throw new RegistryClientError(`${reference.host} gave an upload no Location`, 502);
    const url = this.#follow(reference, location, `${this.#baseUrl(reference)}/`);
    url.searchParams.set('digest', digest);
    const finished = await this.#request(reference, 'pull,push', {
      method: 'PUT',
      url: url.href,
      headers: {
        'content-type': 'application/octet-stream',
        ...(!Buffer.isBuffer(content) && { 'content-length': String(size) }),
      },
      body: content,
      wholeMs: this.#timeouts.transferMs,
      signal,
    });
    discard(finished);
  }

  /**
   * Pushes the blobs, then the manifest, under the reference's tag if it has one. Returns the manifest's digest.
   * `manifest` is serialised as it is given, unless it is bytes already.
   */
  async push(
    target: Target,
    image: { manifest: Manifest | Buffer; blobs: readonly BlobSource[] },
    signal?: AbortSignal,
  ): Promise<string> {
    const reference = read(target);
    await Promise.all(image.blobs.map((source) => this.pushBlob(reference, source, signal)));
    const bytes = Buffer.isBuffer(image.manifest) ? image.manifest : Buffer.from(JSON.stringify(image.manifest));
    const digest = digestOf(bytes);
    const response = await this.#request(reference, 'pull,push', {
      method: 'PUT',
      path: `manifests/${reference.tag ?? digest}`,
      headers: { 'content-type': parseManifest(bytes).mediaType },
      body: bytes,
      signal,
    });
    discard(response);
    return digest;
  }

  /** Where hosts of references really are; for a client in another process. */
  get mirrors(): Record<string, string> {
    return { ...this.#options.mirrors };
  }

  close(): void {
    this.#shared.client.close();
  }

  async #exists(reference: Reference, path: string, signal: AbortSignal | undefined): Promise<boolean> {
    const headers = { accept: [...manifestMediaTypes, 'application/octet-stream'].join(', ') };
    try {
      discard(await this.#request(reference, 'pull', { method: 'HEAD', path, headers, signal }));
      return true;
    } catch (error) {
      if (error instanceof RegistryClientError && error.status === 404) return false;
      throw error;
    }
  }

  /** Sends, answers a challenge, follows redirects; throws unless the answer is 2xx. */
  async #request(reference: Reference, actions: string, request: RegistryRequest): Promise<IncomingMessage> {
    const { path, method, headers = {}, signal } = request;
    const baseUrl = this.#baseUrl(reference);
    let url = request.url ?? `${baseUrl}/v2/${reference.name}/${path}`;
    const { origin } = new URL(baseUrl);
    const authKey = `${this.#identity} ${reference.host}/${reference.name}:${actions}`;
    for (let attempt = 0; attempt < hopsMax; attempt++) {
      // Elsewhere, nobody gets to know who we are.
      const isOrigin = new URL(url).origin === origin;
      const authorization = isOrigin ? this.#authorization(authKey) : undefined;
      const sent = { ...request, url, headers: authorization === undefined ? headers : { ...headers, authorization } };
      const response = await this.#naming(reference, () => this.#send(sent));
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return response;
      if (status === 401 && authorization === undefined && isOrigin) {
        const scope = `repository:${reference.name}:${actions}`;
        const challenge = response.headers['www-authenticate'];
        const answer = await this.#naming(reference, async () => {
          const credentials = await this.#options.auth?.(reference.host, reference.name);
          return answerChallenge(challenge, credentials, scope, baseUrl, (asked) => this.#send({ ...asked, signal }));
        }).catch((error: unknown) => {
          discard(response);
          throw error;
        });
        if (answer === undefined) throw await failure(reference, method, response);
        discard(response);
        this.#remember(authKey, answer);
        continue;
      }
      if (status === 401 && authorization !== undefined && isOrigin && attempt === 0) {
        this.#shared.authorizations.delete(authKey); // The token has run out: ask for another.
        discard(response);
        continue;
      }
      const { location } = response.headers;
      if (status >= 301 && status <= 308 && location !== undefined && (method === 'GET' || method === 'HEAD')) {
        discard(response);
        url = this.#follow(reference, location, url).href;
        continue;
      }
      throw await failure(reference, method, response);
    }
    throw new RegistryClientError(`${reference.host}/${reference.name}: too many redirects`, 502, 'NOT_FOLLOWED');
  }

  async #send({ method, url, headers = {}, body, signal, wholeMs }: SentRequest): Promise<IncomingMessage> {
    const { idleMs, answerMs } = this.#timeouts;
    try {
      return await this.#shared.client.send({
        ...{ method, target: targetOf(url), body, signal },
        headers: Object.entries({ 'user-agent': 'kittiwake', ...headers }).flat(),
        // What is pushed is named by its digest, and an upload that nobody goes on with ends.
        isRepeatable: true,
        ...{ silenceMs: idleMs, headMs: answerMs, wholeMs: wholeMs ?? answerMs },
      });
    } catch (error) {
      // Without what may hold a signature or a password.
      const { origin = url, pathname = '' } = URL.parse(url) ?? {};
      throw new Error(`${method} ${origin}${pathname}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Where a registry sends us: only by HTTP, and never from TLS to none. */
  #follow(reference: Reference, location: string, from: string): URL {
    const url = URL.parse(location, from);
    const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && from.startsWith('http:'));
    if (url && isSafe) return url;
    const where = url ? `${url.protocol}//${url.host}` : JSON.stringify(location.slice(0, 100));
    const why = `${reference.host}/${reference.name}: it sends us to ${where}: not followed`;
    throw new RegistryClientError(why, 502, 'NOT_FOLLOWED');
  }

  /** What goes wrong on the way says with whom. */
  async #naming<T>(reference: Reference, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      if (error instanceof RegistryClientError) throw error;
      const what = `${reference.host}/${reference.name}`;
      throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
    }
  }

  #remember(key: string, authorization: Authorization): void {
    const { authorizations } = this.#shared;
    if (authorizations.size >= authorizationsMax) authorizations.clear();
    authorizations.set(key, authorization);
  }

  #authorization(key: string): string | undefined {
    const found = this.#shared.authorizations.get(key);
    if (found && found.untilMs > performance.now()) return found.header;
    this.#shared.authorizations.delete(key);
    return undefined;
  }

  #baseUrl({ host }: Reference): string {
    const mirror = this.#options.mirrors?.[host];
    if (mirror !== undefined) return mirror.replace(/\/+$/, '');
    if (host === 'docker.io') return 'https://registry-1.docker.io';
    const isPlain = loopback.test(host) || this.#options.plainHttpHosts?.includes(host);
    return `${isPlain ? 'http' : 'https'}://${host}`;
  }
}

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|.*\.localhost)(:|$)/;

/** What clients of different identities have in common. */
interface Shared {
  client: HttpClient;
  /** By identity, host and repository. */
  authorizations: Map<string, Authorization>;
}

/** `url`, or `path` after `/v2/NAME/`. */
interface RegistryRequest {
  method: string;
  url?: string;
  path?: string;
  headers?: Record<string, string>;
  /** A stream needs its `content-length` among the headers. */
  body?: Buffer | (() => Readable);
  signal?: AbortSignal | undefined;
  /** For the answer to be here, whole, where more than a few words come or go. */
  wholeMs?: number;
}

type SentRequest = RegistryRequest & { url: string };

function read(target: Target): Reference {
  return typeof target === 'string' ? parseReference(target) : target;
}

function tagOrDigest({ tag, digest }: Reference): string {
  return digest ?? tag ?? 'latest';
}

const failureBytesMax = 64 * 1024;

async function failure(reference: Reference, method: string, response: IncomingMessage): Promise<RegistryClientError> {
  const status = response.statusCode ?? 0;
  const { code, message } = firstError(await readSome(response, failureBytesMax));
  const what = `${method} ${reference.host}/${reference.name}`;
  const said = message ?? (method === 'HEAD' && status === 404 ? 'not found' : 'no reason given');
  return new RegistryClientError(`${what}: ${status} ${code ?? ''}: ${said}`.replace(' :', ':'), status, code);
}

/** The registry's own words, as far as they are words. */
function firstError(body: string): { code: string | undefined; message: string | undefined } {
  let first: { code?: unknown; message?: unknown } | null | undefined;
  try {
    first = JSON.parse(body)?.errors?.[0];
  } catch {
    // No JSON: the status must do.
  }
  const text = (value: unknown) => (typeof value === 'string' ? value.replace(/\p{Cc}+/gu, ' ') : undefined);
  return { code: text(first?.code)?.slice(0, 100), message: text(first?.message)?.slice(0, 1000) };
}
