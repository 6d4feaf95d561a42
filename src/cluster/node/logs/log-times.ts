import { appendFileSync, readFileSync } from 'node:fs';
import { replaceFile } from '../../../lib/durable.ts';

/** When a log was how long: lengths are counted over all rotations. */
interface Sample {
  atMs: number;
  length: number;
}

const samplesMax = 4096;

export const timesPath = (logPath: string) => logPath.replace(/\.log$/, '.times');

/**
 * What the agent knows of when a log's lines were written, as nobody sees them on their way: a sample of its length
 * every half second while it grows. Kept beside the log, a line each: `AT_MS LENGTH`, and `rotated LENGTH`, the place
 * at which the current file begins. When there are too many samples every second one goes: old lines get coarser times.
 */
export class LogTimes {
  readonly #path: string;
  #samples: Sample[];
  #rotated: number;

  private constructor(path: string, samples: Sample[], rotated: number) {
    this.#path = path;
    this.#samples = samples;
    this.#rotated = rotated;
  }

  static load(path: string): LogTimes {
    let text = '';
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      // A new log.
    }
    const samples: Sample[] = [];
    let rotated = 0;
    for (const line of text.split('\n')) {
      const [first = '', second] = line.split(' ');
      const length = Number(second);
      if (second === undefined || !Number.isSafeInteger(length)) continue;
      if (first === 'rotated') rotated = length;
      else samples.push({ atMs: Number(first), length });
    }
    return new LogTimes(path, samples, rotated);
  }

  /** Where the current file begins. */
  get rotated(): number {
    return this.#rotated;
  }

  /** The current file was `size` bytes long at `atMs`. */
  sample(atMs: number, size: number): void {
    const length = this.#rotated + size;
    const last = this.#samples.at(-1);
    if (last ? last.length >= length : length === 0) return;
    this.#samples.push({ atMs, length });
    if (this.#samples.length > samplesMax) {
      this.#samples = this.#samples.filter((_, index) => index % 2 === 1);
      this.#rewrite();
    } else appendFileSync(this.#path, `${atMs} ${length}\n`);
  }

  /** `size` bytes went from the current file, which begins anew. */
  endFile(size: number): void {
    this.#rotated += size;
    appendFileSync(this.#path, `rotated ${this.#rotated}\n`);
  }

  /** When the byte before `place` had been written: no later than this. Undefined when it has not been seen yet. */
  timeAt(place: number): number | undefined {
    const index = this.#firstAtLeast((sample) => sample.length >= place);
    return this.#samples[index]?.atMs;
  }

  /** The place before which everything was written before `atMs`. */
  placeAt(atMs: number): number {
    const index = this.#firstAtLeast((sample) => sample.atMs >= atMs);
    return this.#samples[index - 1]?.length ?? 0;
  }

  #firstAtLeast(isReached: (sample: Sample) => boolean): number {
    let low = 0;
    let high = this.#samples.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const sample = this.#samples[middle];
      if (sample && isReached(sample)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #rewrite(): void {
    const lines = this.#samples.map(({ atMs, length }) => `${atMs} ${length}\n`);
    replaceFile(this.#path, `rotated ${this.#rotated}\n${lines.join('')}`, { mustLast: false });
  }
}
