import { createHash, type Hash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { isDiskFull } from '../../lib/errors.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { type Digest, type DigestAlgorithm, parseDigest } from '../digest.ts';
import { RegistryError } from './error.ts';
import type { Storage } from './storage.ts';

export interface UploadLimits {
  /** Sessions at once, and those of one repository. */
  sessionsMax: number;
  repositorySessionsMax: number;
  /** A session that nothing was added to for this long is given up; one that nothing ever came to, sooner. */
  idleMs: number;
  emptyIdleMs: number;
  blobBytesMax: number;
  /** What all sessions together may hold on the disk. */
  totalBytesMax: number;
}

export const defaultUploadLimits: UploadLimits = {
  sessionsMax: 1000,
  repositorySessionsMax: 100,
  idleMs: 24 * 3_600_000,
  emptyIdleMs: 3_600_000,
  blobBytesMax: 16 * 1024 ** 3,
  totalBytesMax: 64 * 1024 ** 3,
};

interface Session {
  name: string;
  id: string;
  path: string;
  /** Without bytes there is no file: who only asks for uploads leaves nothing behind. */
  sizeBytes: number;
  /** Of all bytes so far; undefined when they came before the registry was started again. */
  sha256: Hash | undefined;
  touchedMs: number;
  /** Requests that are in the session or wait for their turn: it is not given up under them. */
  requests: number;
}

/**
 * Uploads that are under way. A session is a file that grows; its size is the resume point, so sessions with bytes
 * outlive a restart of the registry: what is on disk is hashed again.
 *
 * Anybody may open sessions and leave them, so they are bounded, and what is full makes room: the session without bytes
 * that was left longest goes first, then the one with bytes. Only sessions with a request in them stay whatever
 * comes; those are bounded in time, by the pace at which a body must come.
 */
export class Uploads {
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #limits: UploadLimits;
  readonly #sessions = new Map<string, Session>();
  /** By session: one request at a time is in it. */
  readonly #turns = new Mutexes();
  #heldBytes = 0;
  #loaded: Promise<void> | undefined;

  constructor(storage: Storage, clock: Clock, limits: UploadLimits) {
    this.#storage = storage;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Opens a session and returns its id. */
  async start(name: string): Promise<string> {
    await this.#load();
    const { sessionsMax, repositorySessionsMax } = this.#limits;
    const own = [...this.#sessions.values()].filter((session) => session.name === name);
    if (own.length >= repositorySessionsMax) await this.#makeRoom(own);
    else if (this.#sessions.size >= sessionsMax) await this.#makeRoom([...this.#sessions.values()]);
    const id = randomUUID();
    this.#open({ name, id, sizeBytes: 0, sha256: createHash('sha256'), touchedMs: this.#clock.now() });
    return id;
  }

  /** How many bytes the session has. */
  async size(name: string, id: string): Promise<number> {
    return this.#inTurn(name, id, async (session) => session.sizeBytes);
  }

  /** Adds what `body` brings; with `range`, only if it starts where the session ends. Returns the new size. */
  async append(name: string, id: string, body: AsyncIterable<Buffer>, range?: ContentRange): Promise<number> {
    return this.#inTurn(name, id, async (session) => {
      await this.#append(session, body, range);
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
    await this.#inTurn(name, id, async (session) => {
      await this.#append(session, body, range);
      const found = await this.#hashOf(session, digest.algorithm);
      if (found !== digest.hex) {
        await this.#drop(session);
        const wanted = `${digest.algorithm}:${digest.hex}`;
        const message = `the content has the digest ${digest.algorithm}:${found}, not ${wanted}`;
        throw new RegistryError('DIGEST_INVALID', message);
      }
      const file = await this.#openFile(session);
      try {
        // A write that failed half-way may have left more than was counted.
        await file.truncate(session.sizeBytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      await this.#storage.commitBlob(name, digest, session.path);
      this.#forget(session);
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
    await this.#inTurn(name, id, (session) => this.#drop(session));
  }

  /** Gives up the sessions that were idle for too long, also those that an earlier run of the registry left on disk. */
  async expire(): Promise<void> {
    await this.#load();
    const nowMs = this.#clock.now();
    const { idleMs, emptyIdleMs } = this.#limits;
    for (const session of this.#sessions.values()) {
      const longest = session.sizeBytes === 0 ? Math.min(emptyIdleMs, idleMs) : idleMs;
      if (session.requests === 0 && session.touchedMs < nowMs - longest) await this.#drop(session);
    }
  }

  /** Gives up the least of `sessions`, so that one more fits. */
  async #makeRoom(sessions: readonly Session[]): Promise<void> {
    const least = sessions.filter(({ requests }) => requests === 0).sort(byUse)[0];
    if (least) return this.#drop(least);
    throw new RegistryError('TOOMANYREQUESTS', `${sessions.length} uploads are at work: try again when some ended`, {
      headers: { 'retry-after': '60' },
    });
  }

  /** Gives up what was left longest until `bytes` more fit on the disk. */
  async #makeRoomOnDisk(bytes: number): Promise<void> {
    while (this.#heldBytes + bytes > this.#limits.totalBytesMax) {
      const idle = [...this.#sessions.values()].filter(({ requests, sizeBytes }) => requests === 0 && sizeBytes > 0);
      const least = idle.sort(byUse)[0];
      if (!least) {
        const message = `the uploads at work hold ${this.#heldBytes} bytes of at most ${this.#limits.totalBytesMax}`;
        throw new RegistryError('TOOMANYREQUESTS', `${message}: try again when some ended`, {
          headers: { 'retry-after': '60' },
        });
      }
      await this.#drop(least);
    }
  }

  async #append(session: Session, body: AsyncIterable<Buffer>, range: ContentRange | undefined): Promise<void> {
    if (range && range.first !== session.sizeBytes) {
      throw new RegistryError('BLOB_UPLOAD_INVALID', `the next byte is ${session.sizeBytes}, not ${range.first}`, {
        status: 416,
        headers: uploadHeaders(session.name, session.id, session.sizeBytes),
      });
    }
    session.sha256 ??= await hashFile(session.path, 'sha256', session.sizeBytes);
    await this.#write(session, session.sha256, body, range);
  }

  async #write(
    session: Session,
    sha256: Hash,
    body: AsyncIterable<Buffer>,
    range: ContentRange | undefined,
  ): Promise<void> {
    const wantedBytes = range === undefined ? undefined : range.last - range.first + 1;
    const startBytes = session.sizeBytes;
    const file = await this.#openFile(session);
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
        await this.#makeRoomOnDisk(chunk.length);
        this.#heldBytes += chunk.length;
        await writeAll(file, chunk, session.sizeBytes).catch((error: unknown) => {
          this.#heldBytes -= chunk.length;
          throw error;
        });
        sha256.update(chunk);
        session.sizeBytes += chunk.length;
        session.touchedMs = this.#clock.now();
      }
    } catch (error) {
      // What filled the disk must not keep it full.
      if (isDiskFull(error)) await this.#drop(session);
      throw error;
    } finally {
      await file.close();
      // A body without a byte leaves no file; an empty blob gets its own when it is finished.
      if (session.sizeBytes === 0) await rm(session.path, { force: true });
    }
    if (wantedBytes !== undefined && session.sizeBytes - startBytes !== wantedBytes) {
      throw new RegistryError('SIZE_INVALID', `the body is shorter than its Content-Range, ${wantedBytes} bytes`);
    }
  }

  /** The session's file, new when it has no bytes; one that lost its file since must not go on with a hole in it. */
  async #openFile(session: Session): Promise<FileHandle> {
    if (session.sizeBytes > 0) return open(session.path, 'r+');
    await this.#storage.ensureFolder(dirname(session.path));
    return open(session.path, 'w', 0o644);
  }

  async #hashOf(session: Session, algorithm: DigestAlgorithm): Promise<string> {
    if (algorithm === 'sha256' && session.sha256) return session.sha256.copy().digest('hex');
    if (session.sizeBytes === 0) return createHash(algorithm).digest('hex');
    return (await hashFile(session.path, algorithm, session.sizeBytes)).digest('hex');
  }

  async #drop(session: Session): Promise<void> {
    this.#forget(session);
    await rm(session.path, { force: true });
  }

  #forget(session: Session): void {
    if (this.#sessions.delete(session.id)) this.#heldBytes -= session.sizeBytes;
  }

  #open(session: Pick<Session, 'name' | 'id' | 'sizeBytes' | 'sha256' | 'touchedMs'>): void {
    const path = this.#storage.uploadPath(session.name, session.id);
    this.#sessions.set(session.id, { ...session, path, requests: 0 });
    this.#heldBytes += session.sizeBytes;
  }

  /** Once: the sessions that an earlier run left on disk. When it fails, the next request tries again. */
  #load(): Promise<void> {
    this.#loaded ??= this.#readFolder().catch((error) => {
      this.#loaded = undefined;
      throw error;
    });
    return this.#loaded;
  }

  async #readFolder(): Promise<void> {
    for await (const { name, id, sizeBytes, changedMs } of this.#storage.uploads()) {
      if (!this.#sessions.has(id)) this.#open({ name, id, sizeBytes, sha256: undefined, touchedMs: changedMs });
    }
  }

  async #inTurn<T>(name: string, id: string, task: (session: Session) => Promise<T>): Promise<T> {
    await this.#load();
    const session = this.#sessions.get(id);
    if (session?.name !== name) {
      const why = 'it ended, was idle too long, or gave way to others';
      throw new RegistryError('BLOB_UPLOAD_UNKNOWN', `there is no upload ${id} to ${name}: ${why}`);
    }
    session.requests++;
    try {
      return await this.#turns.hold(id, undefined, async () => {
        if (this.#sessions.get(id) === session) return await task(session);
        throw new RegistryError('BLOB_UPLOAD_UNKNOWN', `the upload ${id} has ended`);
      });
    } finally {
      session.requests--;
    }
  }
}

/** The session that is given up first comes first: without bytes before with bytes, then by how long it was left. */
function byUse(a: Session, b: Session): number {
  return Number(a.sizeBytes > 0) - Number(b.sizeBytes > 0) || a.touchedMs - b.touchedMs;
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

/** The hash of the first `sizeBytes` of a file, which must have them. */
async function hashFile(path: string, algorithm: DigestAlgorithm, sizeBytes: number): Promise<Hash> {
  const hash = createHash(algorithm);
  let readBytes = 0;
  if (sizeBytes > 0) {
    for await (const chunk of createReadStream(path, { end: sizeBytes - 1 })) {
      hash.update(chunk);
      readBytes += chunk.length;
    }
  }
  if (readBytes !== sizeBytes) throw new Error(`${path} has ${readBytes} bytes where ${sizeBytes} were written`);
  return hash;
}
