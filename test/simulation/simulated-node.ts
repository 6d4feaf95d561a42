import { type ContainerStatus, type Pod, PodKind, type PodStatus } from '../../src/api/core/pod.ts';
import { keyOf, timestamp } from '../../src/api/meta.ts';
import { isConflict, isNotFound } from '../../src/api/status.ts';
import type { Client } from '../../src/kube/client.ts';
import { reasonOf, type Simulation } from './simulation.ts';

interface Life {
  readyAtMs: number;
  goneAtMs: number | undefined;
}

/** Plays the node: pods become ready after a while, crash, come back, and end when they are deleted. */
export class SimulatedNode {
  readonly #simulation: Simulation;
  readonly #client: () => Client;
  readonly #lives = new Map<string, Life>();

  constructor(simulation: Simulation, client: () => Client) {
    this.#simulation = simulation;
    this.#client = client;
  }

  async run(): Promise<void> {
    for (;;) {
      await this.#simulation.sleep(100);
      for (const pod of await this.#pods()) await this.#step(pod);
    }
  }

  async #pods(): Promise<readonly Pod[]> {
    try {
      return (await this.#client().list(PodKind, { namespace: 'default' })).items;
    } catch (error) {
      this.#simulation.note(`node: ${reasonOf(error)}`);
      return [];
    }
  }

  async #step(pod: Pod): Promise<void> {
    const { random, clock } = this.#simulation;
    const nowMs = clock.now();
    const uid = pod.metadata.uid ?? '';
    const life = this.#lives.get(uid) ?? { readyAtMs: nowMs + random.between(20, 3_000), goneAtMs: undefined };
    this.#lives.set(uid, life);
    const isReady = pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
    try {
      if (pod.metadata.deletionTimestamp) {
        life.goneAtMs ??= nowMs + random.between(10, 1_000);
        if (nowMs >= life.goneAtMs) await this.#client().delete(PodKind, keyOf(pod), { gracePeriodSeconds: 0 });
      } else if (!isReady && nowMs >= life.readyAtMs) {
        await this.#say(pod, true);
      } else if (isReady && this.#simulation.fault(0.002)) {
        life.readyAtMs = nowMs + random.between(500, 10_000);
        await this.#say(pod, false);
      }
    } catch (error) {
      // The next step tries again.
      if (!isConflict(error) && !isNotFound(error)) this.#simulation.note(`node: ${reasonOf(error)}`);
    }
  }

  async #say(pod: Pod, isReady: boolean): Promise<void> {
    const at = timestamp(this.#simulation.clock.now());
    const containerStatuses = pod.spec.containers.map(
      ({ name, image }): ContainerStatus => ({
        name,
        image: image ?? '',
        imageID: '',
        ready: isReady,
        restartCount: isReady ? 0 : 1,
        state: isReady ? { running: { startedAt: at } } : { waiting: { reason: 'CrashLoopBackOff' } },
      }),
    );
    const ready = { type: 'Ready', status: isReady ? ('True' as const) : ('False' as const), lastTransitionTime: at };
    const status: PodStatus = { phase: 'Running', podIP: '127.0.0.1', conditions: [ready], containerStatuses };
    await this.#client().update(PodKind, { ...pod, status }, 'status');
  }
}
