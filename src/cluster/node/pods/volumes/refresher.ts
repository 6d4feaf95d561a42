import type { Client } from '../../../../kube/client.ts';
import { Informers } from '../../../../kube/informers.ts';
import { Tracker } from '../../../../kube/tracker.ts';
import { WorkQueue } from '../../../../kube/work-queue.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { ReadObject } from '../config-sources.ts';

/**
 * Brings a pod's volumes up to date, reading what is in them by `read`; rejects when that cannot be. Resolves with
 * after how many milliseconds to do it again though nothing may have changed: what they show comes to its end.
 */
export type Refresh = (read: ReadObject) => Promise<number | undefined>;

/** So many pods at once: the others' turn comes. */
const podsAtOnce = 4;
/** However often something changes, the volumes of one pod are written no more often than this. */
const pauseMsDefault = 1_000;
/** How soon it is tried again when a pod's volumes could not be brought up to date, where no change calls sooner. */
const retryMs = 60_000;

/**
 * Keeps volumes as the API says: whoever has read an object is called again when it has changed, but no sooner than a
 * second after the last time.
 */
export class VolumeRefresher {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pauseMs: number;
  readonly #informers: Informers;
  readonly #tracker: Tracker;
  readonly #queue: WorkQueue;
  readonly #pods = new Map<string, { refresh: Refresh; lastMs: number; isDue: boolean }>();

  constructor(options: { client: Client; clock: Clock; log: Logger; pauseMs?: number }) {
    const { client, clock, log, pauseMs = pauseMsDefault } = options;
    this.#clock = clock;
    this.#pauseMs = pauseMs;
    this.#log = log;
    this.#informers = new Informers(client, { clock, log });
    this.#tracker = new Tracker(client, this.#informers, (uid) => this.call(uid));
    this.#queue = new WorkQueue({ clock, log, concurrency: podsAtOnce, process: (uid) => this.#run(uid) });
    this.#queue.start();
  }

  /** `refresh` is called when something that it read has changed; soon for the first time, to see what there is. */
  follow(uid: string, refresh: Refresh): void {
    if (this.#pods.has(uid)) return;
    this.#pods.set(uid, { refresh, lastMs: this.#clock.monotonic(), isDue: false });
    this.call(uid);
  }

  /** Something else has changed that the pod's volumes show. */
  call(uid: string): void {
    const pod = this.#pods.get(uid);
    if (!pod || pod.isDue) return;
    pod.isDue = true;
    const waitMs = pod.lastMs + this.#pauseMs - this.#clock.monotonic();
    if (waitMs > 0) this.#queue.addAfter(uid, waitMs);
    else this.#queue.add(uid);
  }

  /** How many pods' volumes it keeps. */
  get size(): number {
    return this.#pods.size;
  }

  forget(uid: string): void {
    if (!this.#pods.delete(uid)) return;
    this.#queue.cancelTimer(uid);
    this.#queue.forget(uid);
    this.#tracker.forget(uid);
  }

  async stop(): Promise<void> {
    for (const uid of [...this.#pods.keys()]) this.forget(uid);
    await this.#queue.stop();
    await this.#informers.stop();
  }

  async #run(uid: string): Promise<void> {
    const pod = this.#pods.get(uid);
    if (!pod) return;
    pod.isDue = false;
    pod.lastMs = this.#clock.monotonic();
    const round = this.#tracker.begin(uid);
    let renewalMs: number | undefined = retryMs;
    try {
      renewalMs = await pod.refresh((kind, key) => round.look(kind, key));
    } catch (error) {
      // What was there stays.
      this.#log.warn({ pod: uid, reason: messageOf(error) }, 'the volumes of a pod stay as they are');
    }
    round.end(true);
    const againMs = round.unwatchedMs();
    if (!this.#pods.has(uid)) this.#tracker.forget(uid);
    else if (againMs !== undefined && !pod.isDue) {
      pod.isDue = true;
      this.#queue.addAfter(uid, againMs);
    } else if (renewalMs !== undefined && !pod.isDue) this.#queue.addAfter(uid, renewalMs);
  }
}
