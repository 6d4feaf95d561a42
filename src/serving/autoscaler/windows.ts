/** The resolution of all windows. */
const bucketMs = 1_000;

/**
 * A sliding window of values in buckets of one second. Values of the same second add up: each reporter has a part of
 * the whole. A bounded ring, written at the second of the report:
 *
 *     seconds   … 57 58 59 60 61          size 5, now in second 61
 *     buckets    [60|61|57|58|59]         second s is at s mod size; what is older is overwritten
 *
 * The average divides by the seconds since the first value, at most by the window's length, so that a burst is seen at
 * once; a window that was silent throughout starts over. Seconds without a report count as zero: a gateway that does
 * not speak of a revision has nothing of it. Only the newest second is left out while its report is still on the way.
 */
export class Window {
  readonly #size: number;
  readonly #values: Float64Array;
  readonly #seconds: Float64Array;
  #firstSecond = Number.NaN;
  #lastSecond = Number.NEGATIVE_INFINITY;

  /** `lengthMs` is rounded to whole seconds, at least one. */
  constructor(lengthMs: number) {
    this.#size = Math.max(1, Math.round(lengthMs / bucketMs));
    this.#values = new Float64Array(this.#size);
    this.#seconds = new Float64Array(this.#size);
  }

  /** Adds `value` to the second of `atMs`; what is older than the window is dropped. */
  add(atMs: number, value: number): void {
    const second = Math.floor(atMs / bucketMs);
    if (second <= this.#lastSecond - this.#size) return;
    if (Number.isNaN(this.#firstSecond) || second > this.#lastSecond + this.#size) this.#firstSecond = second;
    this.#firstSecond = Math.min(this.#firstSecond, second);
    this.#lastSecond = Math.max(this.#lastSecond, second);
    const index = second % this.#size;
    if (this.#seconds[index] !== second) {
      this.#seconds[index] = second;
      this.#values[index] = 0;
    }
    this.#values[index] = (this.#values[index] ?? 0) + value;
  }

  /** The average per second of the window that ends at `nowMs`, to six decimals; 0 when it is silent. */
  average(nowMs: number): number {
    const current = Math.floor(nowMs / bucketMs);
    const end = this.#lastSecond >= current ? current : current - 1;
    const start = end - this.#size + 1;
    let total = 0;
    for (const [i, second] of this.#seconds.entries()) {
      if (second >= start && second <= end) total += this.#values[i] ?? 0;
    }
    if (total === 0) return 0;
    return Math.round((total / (end - Math.max(start, this.#firstSecond) + 1)) * 1e6) / 1e6;
  }
}
