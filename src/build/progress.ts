import type { Clock } from '../lib/clock.ts';

export type RunningReason = 'Pending' | 'Building';

/** A step that ends sooner is not worth a write to the API. */
const progressAfterMs = 250;

/** Says which step a build is at, if the step takes long enough for somebody to read it. */
export class Progress {
  readonly #clock: Clock;
  readonly #write: (reason: RunningReason, message: string) => Promise<void>;
  #cancel = () => {};
  #writing: Promise<void> = Promise.resolve();
  #hasStopped = false;

  constructor(clock: Clock, write: (reason: RunningReason, message: string) => Promise<void>) {
    this.#clock = clock;
    this.#write = write;
  }

  say(reason: RunningReason, message: string): void {
    this.#cancel();
    if (this.#hasStopped) return;
    this.#cancel = this.#clock.after(progressAfterMs, () => {
      // An interim status that could not be written is no loss: what happens next says more.
      this.#writing = this.#writing.then(() => this.#write(reason, message)).catch(() => {});
    });
  }

  /** No write follows once this has resolved. */
  async stop(): Promise<void> {
    this.#hasStopped = true;
    this.#cancel();
    await this.#writing;
  }
}
