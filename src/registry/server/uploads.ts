import { createHash, type Hash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { type Digest, type DigestAlgorithm, parseDigest } from '../digest.ts';
import { RegistryError } from './error.ts';
import { ensureFolder, hasCode, isDiskFull, type Storage } from './storage.ts';

export interface UploadLimits {
  /** Sessions at once. */
  sessionsMax: number;
  /** A session that nothing was added to for this long is given up. */
  idleMs: number;
  blobBytesMax: number;
}

export const defaultUploadLimits: UploadLimits = {
  sessionsMax: 1000,
  idleMs: 24 * 3_600_000,
  blobBytesMax: 16 * 1024 ** 3,
};

interface Session {
  name: string;
  id: string;
  path: string;
  sizeBytes: number;
  /** Of all bytes so far. */
  sha256: Hash;
  touchedMs: number;
  /** Settles when the request before has left the session: one at a time. */
  turn: Promise<void>;
}

/**
 * Uploads that are under way. A session is a file that grows; its size is the resume point, so sessions outlive a
 * restart of the registry: what is on disk is hashed again.
 */
export class Uploads {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #limits: UploadLimits;
  readonly #sessions = new Map<string, Session>();

  constructor(storage: Storage, clock: Clock, limits: UploadLimits) {
    this.#storage = storage;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Opens a session and returns its id. */
  async start(name: string): Promise<string> {
    if (this.#sessions.size >= this.#limits.sessionsMax) await this.expire();
    if (this.#sessions.size >= this.#limits.sessionsMax) {
      throw new RegistryError('TOOMANYREQUESTS', `${this.#sessions.size} uploads are open: finish or cancel some`, {
        headers: { 'retry-after': '60' },
      });
    }
    const id = randomUUID();
    const path = this.#storage.uploadPath(name, id);
    await ensureFolder(dirname(path));
    await (await open(path, 'wx', 0o644)).close();
    this.#sessions.set(id, this.#session(name, id, path, 0, createHash('sha256')));
    return id;
  }

  /** How many bytes the session has. */
  async size(name: string, id: string): Promise<number> {
    return this.#inTurn(await this.#find(name, id), async (session) => session.sizeBytes);
  }

  /** Adds what `body` brings; with `range`, only if it starts where the session ends. Returns the new size. */
  async append(name: string, id: string, body: AsyncIterable<Buffer>, range?: ContentRange): Promise<number> {
    return this.#inTurn(await this.#find(name, id), async (session) => {
      if (range && range.first !== session.sizeBytes) {
        throw new RegistryError('BLOB_UPLOAD_INVALID', `the next byte is ${session.sizeBytes}, not ${range.first}`, {
          status: 416,
          headers: uploadHeaders(name, id, session.sizeBytes),
        });
      }
      await this.#write(session, body, range);
      return session.sizeBytes;
    });
  }

  /** Adds the rest, checks the whole against `digest` and makes it a blob of the repository. Ends the session. */
  async finish(
    name: string,
    id: string,
    body: AsyncIterable<Buffer>,
    digest: Digest,
    range?: ContentRange,
  ): Promise<void> {
    await this.append(name, id, body, range);
    await this.#inTurn(await this.#find(name, id), async (session) => {
      const found = await this.#hashOf(session, digest.algorithm);
      if (found !== digest.hex) {
        await this.#drop(session);
        const wanted = `${digest.algorithm}:${digest.hex}`;
        const message = `the content has the digest ${digest.algorithm}:${found}, not ${wanted}`;
        throw new RegistryError('DIGEST_INVALID', message);
      }
      const file = await open(session.path, 'r+');
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.#storage.commitBlob(name, digest, session.path);
      this.#sessions.delete(session.id);
    });
  }

  /** A whole blob at once: when it fails, nothing is kept, because nobody knows of the session. */
  async receive(name: string, body: AsyncIterable<Buffer>, digest: Digest): Promise<void> {
    const id = await this.start(name);
    try {
      await this.finish(name, id, body, digest);
    } catch (error) {
      const session = this.#sessions.get(id);
      if (session) await this.#drop(session);
      throw error;
    }
  }

  async cancel(name: string, id: string): Promise<void> {
    await this.#inTurn(await this.#find(name, id), (session) => this.#drop(session));
  }

  /** Gives up the sessions that were idle for too long, also those that an earlier run of the registry left on disk. */
  async expire(): Promise<void> {
    const beforeMs = this.#clock.now() - this.#limits.idleMs;
    for (const session of this.#sessions.values()) if (session.touchedMs < beforeMs) await this.#drop(session);
    for (const name of await this.#storage.repositories()) {
      const folder = dirname(this.#storage.uploadPath(name, 'any'));
      for (const id of await readdir(folder).catch(() => [] /* no uploads here */)) {
        if (this.#sessions.has(id)) continue;
        const file = await stat(join(folder, id)).catch(() => undefined /* finished meanwhile */);
        if (file && file.mtimeMs < beforeMs) await rm(join(folder, id), { force: true });
      }
    }
  }

  async #write(session: Session, body: AsyncIterable<Buffer>, range: ContentRange | undefined): Promise<void> {
    const wantedBytes = range === undefined ? undefined : range.last - range.first + 1;
    const startBytes = session.sizeBytes;
    const file = await open(session.path, 'r+');
    try {
      for await (const chunk of body) {
        const addedBytes = session.sizeBytes - startBytes + chunk.length;
        if (wantedBytes !== undefined && addedBytes > wantedBytes) {
          throw new RegistryError('SIZE_INVALID', `the body is longer than its Content-Range, ${wantedBytes} bytes`);
        }
        if (session.sizeBytes + chunk.length > this.#limits.blobBytesMax) {
          const message = `a blob may have ${this.#limits.blobBytesMax} bytes`;
          throw new RegistryError('SIZE_INVALID', message, { status: 413 });
        }
        await writeAll(file, chunk, session.sizeBytes);
        session.sha256.update(chunk);
        session.sizeBytes += chunk.length;
        session.touchedMs = this.#clock.now();
      }
    } catch (error) {
      // What filled the disk must not keep it full.
      if (isDiskFull(error)) await this.#drop(session);
      throw error;
    } finally {
      await file.close();
    }
    if (wantedBytes !== undefined && session.sizeBytes - startBytes !== wantedBytes) {
      throw new RegistryError('SIZE_INVALID', `the body is shorter than its Content-Range, ${wantedBytes} bytes`);
    }
  }

  async #hashOf(session: Session, algorithm: DigestAlgorithm): Promise<string> {
    if (algorithm === 'sha256') return session.sha256.copy().digest('hex');
    return (await hashFile(session.path, algorithm)).hash.digest('hex');
  }

  async #drop(session: Session): Promise<void> {
    this.#sessions.delete(session.id);
    await rm(session.path, { force: true });
  }

  async #find(name: string, id: string): Promise<Session> {
    const known = this.#sessions.get(id);
    if (known?.name === name) return known;
    const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
    const revived = known || !isId ? undefined : await this.#revive(name, id);
    if (revived) return revived;
    throw new RegistryError(
      'BLOB_UPLOAD_UNKNOWN',
      `there is no upload ${id} to ${name}: it ended, or was idle too long`,
    );
  }

  /** A session that an earlier run of the registry left on disk. */
  async #revive(name: string, id: string): Promise<Session | undefined> {
    const path = this.#storage.uploadPath(name, id);
    try {
      const { hash, sizeBytes } = await hashFile(path, 'sha256');
      const session = this.#sessions.get(id) ?? this.#session(name, id, path, sizeBytes, hash);
      this.#sessions.set(id, session);
      return session;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  #session(name: string, id: string, path: string, sizeBytes: number, sha256: Hash): Session {
    return { name, id, path, sizeBytes, sha256, touchedMs: this.#clock.now(), turn: Promise.resolve() };
  }

  async #inTurn<T>(session: Session, task: (session: Session) => Promise<T>): Promise<T> {
    const before = session.turn;
    let leave = () => {};
    session.turn = new Promise((resolve) => {
      leave = resolve;
    });
    await before;
    try {
      if (this.#sessions.get(session.id) !== session) {
        throw new RegistryError('BLOB_UPLOAD_UNKNOWN', `the upload ${session.id} has ended`);
      }
      return await task(session);
    } finally {
      leave();
    }
  }
}

/** First and last byte, both included: the specification's own `Content-Range: 0-1023`, without a unit. */
export interface ContentRange {
  first: number;
  last: number;
}

export function parseContentRange(text: string | undefined): ContentRange | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text);
  const range = { first: Number(match?.[1]), last: Number(match?.[2]) };
  if (match && range.last >= range.first) return range;
  throw new RegistryError('BLOB_UPLOAD_INVALID', `Content-Range is "${text}": must be FIRST-LAST`, { status: 416 });
}

/** Where the upload goes on, and what it has. A session without bytes says `0-0`, as the reference registry does. */
export function uploadHeaders(name: string, id: string, sizeBytes: number): Record<string, string> {
  return {
    location: `/v2/${name}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, sizeBytes - 1)}`,
    'docker-upload-uuid': id,
  };
}

/** The digest parameter of a request, checked. */
export function requireDigest(text: string | null | undefined): Digest {
  const digest = parseDigest(text ?? '');
  if (digest) return digest;
  throw new RegistryError('DIGEST_INVALID', `"${text ?? ''}" is no digest: must be sha256: and 64 hex digits`);
}

async function writeAll(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  let written = 0;
  while (written < chunk.length) {
    written += (await file.write(chunk, written, chunk.length - written, position + written)).bytesWritten;
  }
}

async function hashFile(path: string, algorithm: DigestAlgorithm): Promise<{ hash: Hash; sizeBytes: number }> {
  const hash = createHash(algorithm);
  let sizeBytes = 0;
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { hash, sizeBytes };
}
