import { type Pod, PodKind } from '../../api/core/pod.ts';
import type { Kind } from '../../api/kind.ts';
import type { Client } from '../../kube/client.ts';
import { recordEvent, type Said } from '../../kube/events.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';

export interface EventRecorderOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  nodeName: string;
}

/** Events wait this long, so that the writes of a start from zero come after the one that says that it is ready. */
const delayMs = 250;
/** More than this many waiting are dropped: a storm of events must not become a storm of writes. */
const queueMax = 256;
/** Of one pod: kubelet allows a burst of 25, then one each five minutes. */
const burstPerPod = 25;
const refillMs = 300_000;

interface Waiting {
  pod: Pod;
  said: Said;
  atMs: number;
}

/** Tells people what happens to pods, as Events: bounded, and nothing waits for it. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #tokens = new Map<string, { left: number; atMs: number }>();
  readonly #queue: Waiting[] = [];
  #working: Promise<void> | undefined;
  #cancelDelay: (() => void) | undefined;
  #isClosed = false;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(pod: Pod, type: Said['type'], reason: string, message: string): void {
    const { clock, nodeName } = this.#options;
    if (this.#queue.length >= queueMax || !this.#mayRecord(pod.metadata.uid ?? '')) {
      this.#dropped++;
      return;
    }
    const source = { component: 'kubelet', host: nodeName };
    this.#queue.push({ pod, said: { type, reason, message, source }, atMs: clock.now() });
    this.#schedule();
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#working;
  }

  /** Forgets the limits of a pod that is gone. */
  forget(podUid: string): void {
    this.#tokens.delete(podUid);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelDelay?.();
    this.#queue.length = 0;
    await this.#working;
  }

  /** While something waits, it is either being written or a timer runs to that end. */
  #schedule(): void {
    if (this.#isClosed || this.#working || this.#cancelDelay || this.#queue.length === 0) return;
    this.#cancelDelay = this.#options.clock.after(delayMs, () => {
      this.#cancelDelay = undefined;
      this.#working = this.#work().finally(() => {
        this.#working = undefined;
        this.#schedule();
      });
    });
  }

  /** Never rejects: an event that cannot be written is lost, and said so. */
  async #work(): Promise<void> {
    const { client, log } = this.#options;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      try {
        await recordEvent(client, PodKind as Kind, next.pod, next.said, next.atMs);
      } catch (error) {
        log.debug({ reason: messageOf(error), event: next.said.reason }, 'an event could not be recorded');
      }
    }
    if (this.#dropped > 0) log.info({ dropped: this.#dropped }, 'events were dropped: there were too many');
    this.#dropped = 0;
  }

  #mayRecord(podUid: string): boolean {
    const now = this.#options.clock.now();
    const bucket = this.#tokens.get(podUid) ?? { left: burstPerPod, atMs: now };
    const refilled = Math.floor((now - bucket.atMs) / refillMs);
    bucket.left = Math.min(burstPerPod, bucket.left + refilled);
    bucket.atMs += refilled * refillMs;
    this.#tokens.set(podUid, bucket);
    if (bucket.left === 0) return false;
    bucket.left--;
    return true;
  }
}
