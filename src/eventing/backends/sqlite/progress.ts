import { assert } from '../../../lib/errors.ts';
import type { Offset } from './stored-event.ts';

/**
 * Which offsets a consumer is done with: all before `position`, and the ranges after it, sorted, apart from each other.
 *
 *     done done done | open done done open open done
 *                     ^position      ranges: [[5,7],[9,10]]
 *
 * Ranges keep it small when one event is retried for long while thousands after it are done.
 */
export class Progress {
  #position: Offset;
  readonly #ranges: [from: Offset, until: Offset][];

  constructor(position: Offset, ranges: readonly (readonly [Offset, Offset])[] = []) {
    this.#position = position;
    this.#ranges = ranges.map(([from, until]) => [from, until]);
  }

  /** From the text of `ranges`. */
  static parse(position: Offset, ranges: string): Progress {
    const parsed = ranges.split(',').filter((range) => range !== '');
    return new Progress(
      position,
      parsed.map((range) => {
        const [from = Number.NaN, until = Number.NaN] = range.split('-').map(Number);
        assert(from >= position && until > from, `range ${range} of a cursor at ${position}`);
        return [from, until] as const;
      }),
    );
  }

  get position(): Offset {
    return this.#position;
  }

  /** The ranges after the position as text: `5-7,9-10`. */
  get ranges(): string {
    return this.#ranges.map(([from, until]) => `${from}-${until}`).join(',');
  }

  isDone(offset: Offset): boolean {
    if (offset < this.#position) return true;
    const range = this.#ranges[this.#firstEndingAfter(offset)];
    return range !== undefined && range[0] <= offset;
  }

  done(offset: Offset): void {
    if (this.isDone(offset)) return;
    if (offset === this.#position) {
      this.moveTo(offset + 1);
      return;
    }
    const next = this.#firstEndingAfter(offset);
    const before = this.#ranges[next - 1];
    const after = this.#ranges[next];
    const joinsBefore = before?.[1] === offset;
    const joinsAfter = after?.[0] === offset + 1;
    if (before && after && joinsBefore && joinsAfter) {
      before[1] = after[1];
      this.#ranges.splice(next, 1);
    } else if (before && joinsBefore) before[1] = offset + 1;
    else if (after && joinsAfter) after[0] = offset;
    else this.#ranges.splice(next, 0, [offset, offset + 1]);
  }

  /** Everything before `position` is done. */
  moveTo(position: Offset): void {
    this.#position = Math.max(this.#position, position);
    for (let first = this.#ranges[0]; first && first[0] <= this.#position; first = this.#ranges[0]) {
      this.#position = Math.max(this.#position, first[1]);
      this.#ranges.shift();
    }
  }

  /** The index of the first range that ends after `offset`. */
  #firstEndingAfter(offset: Offset): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle]?.[1] ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
