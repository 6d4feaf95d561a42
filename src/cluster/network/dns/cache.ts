import type { Clock } from '../../../lib/clock.ts';
import type { FoundRecord } from './wire/message.ts';

/** An answer of another server, without what is of one hop alone. */
export interface CachedAnswer {
  bytes: Buffer;
  records: readonly FoundRecord[];
}

interface Entry extends CachedAnswer {
  storedAtMs: number;
  expiresAtMs: number;
}

const entriesMax = 4_096;
const bytesMax = 8 * 1024 * 1024;
/** About what an entry takes besides the message, and each of its records. */
const entryBytes = 512;
const recordBytes = 256;

/** Answers as long as they count; those that were not asked for longest go first. */
export class AnswerCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): (CachedAnswer & { ageSeconds: number }) | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    const nowMs = this.#clock.monotonic();
    this.#entries.delete(key);
    if (entry.expiresAtMs <= nowMs) {
      this.#bytes -= weightOf(entry);
      return undefined;
    }
    this.#entries.set(key, entry);
    return { ...entry, ageSeconds: Math.floor((nowMs - entry.storedAtMs) / 1000) };
  }

  set(key: string, answer: CachedAnswer, ttlSeconds: number): void {
    const before = this.#entries.get(key);
    if (before) {
      this.#entries.delete(key);
      this.#bytes -= weightOf(before);
    }
    const storedAtMs = this.#clock.monotonic();
    // A copy: what it is a part of may be larger.
    const entry = {
      ...answer,
      bytes: Buffer.from(answer.bytes),
      storedAtMs,
      expiresAtMs: storedAtMs + ttlSeconds * 1000,
    };
    this.#entries.set(key, entry);
    this.#bytes += weightOf(entry);
    for (const [oldest, old] of this.#entries) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) break;
      this.#entries.delete(oldest);
      this.#bytes -= weightOf(old);
    }
  }
}

const weightOf = ({ bytes, records }: CachedAnswer) => bytes.length + entryBytes + records.length * recordBytes;
