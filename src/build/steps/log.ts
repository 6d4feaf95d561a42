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
    this.#sizeBytes += Buffer.byteLength(text);
    if (this.#sizeBytes <= 2 * this.#maxBytes) return;
    const kept = lastLines(this.text(), this.#maxBytes);
    this.#wasCut = true;
    this.#chunks = [kept];
    this.#sizeBytes = Buffer.byteLength(kept);
  }

  /** As a whole, because what must not be read may come in two chunks. */
  text(): string {
    return this.#redact(this.#chunks.join(''));
  }

  /** The last `maxBytes` of it, beginning with a whole line. */
  tail(maxBytes: number): string {
    const text = this.text();
    const kept = lastLines(text, maxBytes);
    return kept === text && !this.#wasCut ? text : `…\n${kept}`;
  }
}

function lastLines(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  const kept = bytes.subarray(-maxBytes).toString();
  return kept.slice(kept.indexOf('\n') + 1);
}
