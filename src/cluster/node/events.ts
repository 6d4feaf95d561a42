import { randomBytes } from 'node:crypto';
import { type CoreEvent, EventKind } from '../../api/core/event.ts';
import type { Pod } from '../../api/core/pod.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { keyOf, keyText, timestamp } from '../../api/meta.ts';
import { isConflict, isNotFound } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';

export interface EventRecorderOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  nodeName: string;
}

type Type = 'Normal' | 'Warning';

/** Events wait this long, so that the writes of a start from zero come after the one that says that it is ready. */
const delayMs = 250;
/** More than this many waiting are dropped: a storm of events must not become a storm of writes. */
const queueMax = 256;
/** Of one pod: kubelet allows a burst of 25, then one each five minutes. */
const burstPerPod = 25;
const refillMs = 300_000;
/** Events are deleted after an hour, as a Kubernetes API server does, or when there are more than this many. */
const retentionMs = 3_600_000;
const keptMax = 1_000;
const messageMax = 1024;
/** With a dot and 16 digits an event's name is at most 253 characters long. */
const podNameMax = 236;

interface Waiting {
  pod: Pod;
  type: Type;
  reason: string;
  message: string;
  atMs: number;
}

interface Kept {
  event: CoreEvent;
  createdMs: number;
}

/**
 * Tells people what happens to pods, as core/v1 Events. Repetitions count up one event; all is bounded, and nothing
 * waits for it.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  /** By pod, reason and message, the oldest first. */
  readonly #kept = new Map<string, Kept>();
  readonly #tokens = new Map<string, { left: number; atMs: number }>();
  readonly #queue: Waiting[] = [];
  #working: Promise<void> | undefined;
  #cancelDelay: (() => void) | undefined;
  #isClosed = false;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(pod: Pod, type: Type, reason: string, message: string): void {
    const { clock } = this.#options;
    if (this.#queue.length >= queueMax || !this.#mayRecord(pod.metadata.uid ?? '')) {
      this.#dropped++;
      return;
    }
    this.#queue.push({ pod, type, reason, message: message.slice(0, messageMax), atMs: clock.now() });
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

  /** Takes on the events that an earlier agent left, so that they too are deleted in time. */
  async adopt(): Promise<void> {
    const { client, nodeName, clock } = this.#options;
    const { items } = await client.list(EventKind, {});
    const ours = items
      .filter(({ source }) => source?.component === 'kubelet' && source.host === nodeName)
      .map((event): Kept => ({ event, createdMs: Date.parse(event.lastTimestamp ?? '') || clock.now() }))
      .sort((a, b) => a.createdMs - b.createdMs);
    for (const kept of ours) this.#kept.set(keyText(keyOf(kept.event)), kept);
    await this.#prune();
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
    const { log } = this.#options;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      try {
        await this.#write(next);
      } catch (error) {
        log.debug({ reason: messageOf(error), event: next.reason }, 'an event could not be recorded');
      }
    }
    if (this.#dropped > 0) log.info({ dropped: this.#dropped }, 'events were dropped: there were too many');
    this.#dropped = 0;
    try {
      await this.#prune();
    } catch (error) {
      log.debug({ reason: messageOf(error) }, 'an old event could not be deleted: with the next ones');
    }
  }

  async #write({ pod, type, reason, message, atMs }: Waiting): Promise<void> {
    const { client, nodeName } = this.#options;
    const { name, namespace = 'default', uid = '' } = pod.metadata;
    const key = `${uid}/${reason}/${message}`;
    const time = timestamp(atMs);
    const before = this.#kept.get(key);
    if (before) {
      const counted = { ...before.event, count: (before.event.count ?? 1) + 1, lastTimestamp: time };
      this.#kept.delete(key); // To the end: it is the youngest again.
      try {
        this.#kept.set(key, { event: await client.update(EventKind, counted), createdMs: atMs });
        return;
      } catch (error) {
        // Deleted, by a user or by the API's own limit, or changed: this is the first of a new one.
        if (!isNotFound(error) && !isConflict(error)) throw error;
      }
    }
    const event = await client.create(EventKind, {
      apiVersion: apiVersionOf(EventKind),
      kind: EventKind.kind,
      metadata: {
        name: `${name.slice(0, podNameMax).replace(/[.-]+$/, '')}.${randomBytes(8).toString('hex')}`,
        namespace,
      },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid },
      type,
      reason,
      message,
      source: { component: 'kubelet', host: nodeName },
      reportingComponent: 'kubelet',
      reportingInstance: nodeName,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    });
    this.#kept.set(key, { event, createdMs: atMs });
  }

  async #prune(): Promise<void> {
    const { client, clock } = this.#options;
    for (const [key, { event, createdMs }] of this.#kept) {
      if (this.#kept.size <= keptMax && clock.now() - createdMs < retentionMs) return;
      const { namespace = 'default', name } = event.metadata;
      await client.delete(EventKind, { namespace, name });
      this.#kept.delete(key);
    }
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
