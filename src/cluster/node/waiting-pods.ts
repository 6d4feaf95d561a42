import { type Pod, PodKind } from '../../api/core/pod.ts';
import { timestamp } from '../../api/meta.ts';
import { isConflict, isNotFound } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { dated } from '../../kube/conditions.ts';
import { WorkQueue } from '../../kube/work-queue.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';

const writesAtOnce = 8;

/** What keeps a pod from running, as its condition PodScheduled says it. */
export interface Obstacle {
  reason: 'Unschedulable' | 'SchedulingGated';
  message: string;
}

/** Pods that cannot run on the node yet, in the order in which they came; each is told why in its status. */
export class WaitingPods {
  readonly #pods = new Map<string, { pod: Pod; obstacle: Obstacle }>();
  readonly #queue: WorkQueue;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #onTold: (pod: Pod, obstacle: Obstacle) => void;

  /** `onTold` is called when a pod's status says something new. */
  constructor(options: {
    client: Client;
    clock: Clock;
    log: Logger;
    onTold(pod: Pod, obstacle: Obstacle): void;
  }) {
    const { client, clock, log, onTold } = options;
    this.#client = client;
    this.#clock = clock;
    this.#onTold = onTold;
    this.#queue = new WorkQueue({ clock, log, concurrency: writesAtOnce, process: (uid) => this.#tell(uid) });
    this.#queue.start();
  }

  /** The pod as it is now; again with each change of it, or of what keeps it. */
  put(pod: Pod, obstacle: Obstacle): void {
    const { uid = '' } = pod.metadata;
    this.#pods.set(uid, { pod, obstacle });
    this.#queue.add(uid);
  }

  has(uid: string): boolean {
    return this.#pods.has(uid);
  }

  delete(uid: string): void {
    this.#pods.delete(uid);
  }

  /** Those that wait, the one that has waited longest first. */
  all(): Pod[] {
    return [...this.#pods.values()].map(({ pod }) => pod);
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }

  async #tell(uid: string): Promise<void> {
    const { pod, obstacle } = this.#pods.get(uid) ?? {};
    if (!pod || !obstacle || pod.metadata.deletionTimestamp !== undefined) return this.#queue.forget(uid);
    const { conditions = [] } = pod.status ?? {};
    const told = conditions.find(({ type }) => type === 'PodScheduled');
    if (told?.status === 'False' && told.message === obstacle.message) return this.#queue.forget(uid);
    const wanted = { type: 'PodScheduled', status: 'False' as const, ...obstacle };
    const condition = dated(wanted, conditions, timestamp(this.#clock.now()));
    const others = conditions.filter(({ type }) => type !== 'PodScheduled');
    const status = { ...pod.status, phase: 'Pending' as const, conditions: [...others, condition] };
    try {
      await this.#client.update(PodKind, { ...pod, status }, 'status');
      this.#onTold(pod, obstacle);
    } catch (error) {
      // What is newer is on its way here.
      if (!isConflict(error) && !isNotFound(error)) throw error;
    }
    this.#queue.forget(uid);
  }
}
