/** A bound on how many things happen at once; who waits for a slot goes before who asks anew. */
export class Slots {
  readonly #count: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes a slot if one is free and nobody waits. */
  tryTake(): boolean {
    if (this.#taken >= this.#count || this.#waiting.length > 0) return false;
    this.#taken++;
    return true;
  }

  take(): Promise<void> {
    if (this.tryTake()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken--;
  }
}
