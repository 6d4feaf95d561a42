import type { Clock } from './clock.ts';

/** A clock that stands still until `advance` moves it: timers fire as they are due, then as they were created. */
export class VirtualClock implements Clock {
  #nowMs: number;
  #sequence = 0;
  readonly #timers = new Map<number, { dueMs: number; task: () => void }>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const id = this.#sequence++;
    this.#timers.set(id, { dueMs: this.#nowMs + Math.max(0, delayMs), task });
    return () => this.#timers.delete(id);
  }

  /** Moves time by `byMs`, running each timer at its due time; a macrotask after each lets promises settle. */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#earliest();
      if (!next || next[1].dueMs > endMs) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1].dueMs);
      next[1].task();
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }

  #earliest(): [number, { dueMs: number; task: () => void }] | undefined {
    let found: [number, { dueMs: number; task: () => void }] | undefined;
    for (const entry of this.#timers) {
      if (!found || entry[1].dueMs < found[1].dueMs) found = entry;
    }
    return found;
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
