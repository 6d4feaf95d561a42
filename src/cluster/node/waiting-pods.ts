import { type Pod, PodKind } from '../../api/core/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { isConflict, isNotFound } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { dated } from '../../kube/conditions.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';

const writesAtOnce = 8;

/** Pods for which the node has no room yet, in the order in which they came; each is told so in its status. */
export class WaitingPods {
  readonly #pods = new Map<string, Pod>();
  readonly #queue: WorkQueue;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #message: string;

  constructor(options: { client: Client; clock: Clock; log: Logger; podsMax: number }) {
    const { client, clock, log, podsMax } = options;
    this.#client = client;
    this.#clock = clock;
    this.#message = `0/1 nodes are available: 1 Too many pods: it runs ${podsMax} at once; the next to end makes room`;
    this.#queue = new WorkQueue({ clock, log, concurrency: writesAtOnce, process: (uid) => this.#tell(uid) });
    this.#queue.start();
  }

  /** The pod as it is now; again with each change of it. */
  put(pod: Pod): void {
    const { uid = '' } = pod.metadata;
    this.#pods.set(uid, pod);
    this.#queue.add(uid);
  }

  has(uid: string): boolean {
    return this.#pods.has(uid);
  }

  delete(uid: string): void {
    this.#pods.delete(uid);
  }

  /** The pod that has waited longest; it waits no more. */
  take(): Pod | undefined {
    const [first] = this.#pods;
    if (!first) return undefined;
    this.#pods.delete(first[0]);
    return first[1];
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #tell(uid: string): Promise<void> {
    const pod = this.#pods.get(uid);
    if (!pod || pod.metadata.deletionTimestamp !== undefined) return this.#queue.forget(uid);
    const { conditions = [] } = pod.status ?? {};
    const told = conditions.find(({ type }) => type === 'PodScheduled');
    if (told?.status === 'False' && told.message === this.#message) return this.#queue.forget(uid);
    const wanted = { type: 'PodScheduled', status: 'False' as const, reason: 'Unschedulable', message: this.#message };
    const condition = dated(wanted, conditions, timestamp(this.#clock.now()));
    const others = conditions.filter(({ type }) => type !== 'PodScheduled');
    const status = { ...pod.status, phase: 'Pending' as const, conditions: [...others, condition] };
    try {
      await this.#client.update(PodKind, { ...pod, status }, 'status');
    } catch (error) {
      // What is newer is on its way here.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
    this.#queue.forget(uid);
  }
}
