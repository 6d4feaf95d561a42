/** A set of strings in order. Adding in order is cheap; elsewhere it shifts the array, which is fine up to 10⁵ keys. */
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
    if (this.#keys[at] === key) return;
    if (at === this.#keys.length) this.#keys.push(key);
    else this.#keys.splice(at, 0, key);
  }

  delete(key: string): void {
    const at = this.#firstAtOrAfter(key);
    if (this.#keys[at] === key) this.#keys.splice(at, 1);
  }

  /** Keys that begin with `prefix` and sort after `after`, in order. The set must not change while one iterates. */
  *range(prefix: string, after = ''): Generator<string> {
    let at = this.#firstAtOrAfter(after > prefix ? after : prefix);
    if (after !== '' && this.#keys[at] === after) at++;
    for (; at < this.#keys.length; at++) {
      const key = this.#keys[at] as string;
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  /** As `range`, in one go: a copy, which the set may change behind. */
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
    let from = this.#firstAtOrAfter(after > prefix ? after : prefix);
    if (after !== '' && this.#keys[from] === after) from++;
    // No key holds U+FFFF, so this is the first position behind all keys that begin with the prefix.
    return [from, this.#firstAtOrAfter(`${prefix}\uffff`)];
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
