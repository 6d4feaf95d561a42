/**
 * A set of strings in order, none of them empty. Adding in order is cheap; elsewhere it shifts the array, which is fine
 * up to 10⁵ keys.
 */
export class KeySet {
  readonly #keys: string[] = [];
  #isSorted = true;

  /** Adds a key that is not in the set; many at once, in whatever order, are put into order once. */
  append(key: string): void {
    this.#keys.push(key);
    this.#isSorted = false;
  }

  add(key: string): void {
    const at = this.#firstAtOrAfter(key);
    if (this.#keys[at] !== key) this.#keys.splice(at, 0, key);
  }

  delete(key: string): void {
    const at = this.#firstAtOrAfter(key);
    if (this.#keys[at] === key) this.#keys.splice(at, 1);
  }

  /** Keys that begin with `prefix` and sort after `after`, in order: a copy, which the set may change behind. */
  slice(prefix: string, after = ''): string[] {
    const [from, to] = this.#bounds(prefix, after);
    return this.#keys.slice(from, to);
  }

  /** How many keys begin with `prefix` and sort after `after`. */
  count(prefix: string, after = ''): number {
    const [from, to] = this.#bounds(prefix, after);
    return Math.max(0, to - from);
  }

  #bounds(prefix: string, after: string): [from: number, to: number] {
    const next = `${after}\0`; // No string stands between the two.
    const first = next > prefix ? next : prefix;
    // No key holds U+FFFF, so that is the first position behind all keys that begin with the prefix.
    return [this.#firstAtOrAfter(first), this.#firstAtOrAfter(`${prefix}\uffff`)];
  }

  #firstAtOrAfter(key: string): number {
    if (!this.#isSorted) this.#keys.sort();
    this.#isSorted = true;
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
