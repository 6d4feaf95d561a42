import { randomBytes } from 'node:crypto';
import { type CoreEvent, EventKind } from '../../api/core/event.ts';
import type { Pod } from '../../api/core/pod.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { timestamp } from '../../api/meta.ts';
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
  #cancelDelay = () => {};
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
    if (this.#queue.length === 1 && !this.#working) {
      this.#cancelDelay = clock.after(delayMs, () => {
        this.#working = this.#work();
      });
    }
  }

  /** Forgets the limits of a pod that is gone. */
  forget(podUid: string): void {
    this.#tokens.delete(podUid);
  }

  /** Takes on the events that an earlier agent left, so that they too are deleted in time. */
  async adopt(): Promise<void> {
    const { client, nodeName, clock } = this.#options;
    const { items } = await client.list(EventKind, {});
    for (const event of items) {
      if (event.source?.component !== 'kubelet' || event.source.host !== nodeName) continue;
      const createdMs = Date.parse(event.lastTimestamp ?? '') || clock.now();
      this.#kept.set(`${event.metadata.namespace}/${event.metadata.name}`, { event, createdMs });
    }
    await this.#prune();
  }

  async close(): Promise<void> {
    this.#cancelDelay();
    this.#queue.length = 0;
    await this.#working;
  }

  async #work(): Promise<void> {
    const { log } = this.#options;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
        try {
          await this.#write(next);
        } catch (error) {
          log.debug({ reason: messageOf(error), event: next.reason }, 'an event could not be recorded');
        }
      }
      if (this.#dropped > 0) log.info({ dropped: this.#dropped }, 'events were dropped: there were too many');
      this.#dropped = 0;
      await this.#prune();
    } finally {
      this.#working = undefined;
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
      this.#kept.set(key, { event: await client.update(EventKind, counted), createdMs: atMs });
      return;
    }
    const event = await client.create(EventKind, {
      apiVersion: apiVersionOf(EventKind),
      kind: EventKind.kind,
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
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
      this.#kept.delete(key);
      const { namespace = 'default', name } = event.metadata;
      await client.delete(EventKind, { namespace, name });
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
