/** A bound on how many things happen at once; a slot that is released goes to who has waited longest. */
export class Slots {
  readonly #count: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** Whether a slot can be had at once: then nobody waits. */
  get isOneFree(): boolean {
    return this.#taken < this.#count;
  }

  take(): Promise<void> {
    if (!this.isOneFree) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#taken++;
    return Promise.resolve();
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#taken--;
  }
}
