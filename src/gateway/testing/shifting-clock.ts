import { type Clock, systemClock } from '../../lib/clock.ts';
import { eventually } from './fixture.ts';

/** The system's clock, which can be put forward: what would be due after a long wait is due at once. */
export class ShiftingClock implements Clock {
  #shiftMs = 0;
  #reads = 0;

  now(): number {
    return systemClock.now() + this.#shiftMs;
  }

  monotonic(): number {
    this.#reads++;
    return systemClock.monotonic() + this.#shiftMs;
  }

  after(delayMs: number, task: () => void): () => void {
    return systemClock.after(delayMs, task);
  }

  /** Puts it forward and resolves once the gateway, which reads it in each of its sweeps, has seen that. */
  async shift(byMs: number): Promise<void> {
    this.#shiftMs += byMs;
    const before = this.#reads;
    // The first read may be one that began a sweep; the third is behind a whole one.
    await eventually(() => this.#reads >= before + 3);
  }
}
