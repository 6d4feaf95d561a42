import type { Pod } from '../../../api/core/pod.ts';
import type { Clock } from '../../../lib/clock.ts';

export interface DeadlineOptions {
  clock: Clock;
  /** When the pod was first seen, for as long as its status does not say when it began. */
  firstSeenMs: number;
  onPassed(): void;
}

/** Tells when a pod has been active for longer than it may; it may be told otherwise while it runs. */
export class Deadline {
  readonly #options: DeadlineOptions;
  #seconds: number | undefined;
  #cancel = () => {};

  constructor(options: DeadlineOptions) {
    this.#options = options;
  }

  follow({ spec: { activeDeadlineSeconds: seconds }, status }: Pod): void {
    const { clock, firstSeenMs, onPassed } = this.#options;
    if (seconds === this.#seconds) return;
    this.cancel();
    this.#seconds = seconds;
    if (seconds === undefined) return;
    const startedMs = Date.parse(status?.startTime ?? '') || firstSeenMs;
    this.#cancel = clock.after(Math.max(0, startedMs + seconds * 1000 - clock.now()), onPassed);
  }

  cancel(): void {
    this.#cancel();
    this.#cancel = () => {};
  }
}
