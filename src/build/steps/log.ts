import { type Redact, redactFor } from '../redact.ts';

/** How much of a build's log its status keeps. */
export const statusLogBytes = 16 * 1024;

/** What a build printed: the last part of it, whole lines, in memory, without credentials. */
export class BuildLog {
  readonly #maxBytes: number;
  readonly #redact: Redact;
  #chunks: string[] = [];
  #sizeBytes = 0;
  #wasCut = false;

  constructor(maxBytes = 256 * 1024, redact: Redact = redactFor(undefined)) {
    this.#maxBytes = maxBytes;
    this.#redact = redact;
  }

  /** A line of the builder's own. */
  say(line: string): void {
    this.write(`${line}\n`);
  }

  /** Output of a step, as it comes. */
  write(text: string): void {
    this.#chunks.push(text);
    this.#sizeBytes += text.length;
    if (this.#sizeBytes > 2 * this.#maxBytes) {
      const kept = this.text().slice(-this.#maxBytes);
      this.#wasCut = true;
      this.#chunks = [kept.slice(kept.indexOf('\n') + 1)];
      this.#sizeBytes = kept.length;
    }
  }

  /** As a whole, because what must not be read may come in two chunks. */
  text(): string {
    return this.#redact(this.#chunks.join(''));
  }

  /** The last `maxBytes` of it, beginning with a whole line. */
  tail(maxBytes: number): string {
    const bytes = Buffer.from(this.text(), 'utf8');
    if (bytes.length <= maxBytes && !this.#wasCut) return bytes.toString('utf8');
    const kept = bytes.subarray(-maxBytes).toString('utf8');
    return `…\n${bytes.length <= maxBytes ? kept : kept.slice(kept.indexOf('\n') + 1)}`;
  }
}
