import type { ReplicaSet } from '../api/apps/replica-set.ts';
import type { Pod } from '../api/core/pod.ts';
import { sameJson } from '../lib/same-json.ts';

/** A pod that its owner will want, with what the node has already made for it. */
export interface ExpectedPod {
  /** Of the ReplicaSet. */
  ownerUid: string;
  /** As the owner had it: by another one, another pod is meant. */
  template: ReplicaSet['spec']['template'];
  name: string;
  /** Random, and known to nobody else until the pod is there: that is what makes it claimable. */
  uid: string;
  /** The owner is about to create it. */
  onTaken(): void;
}

/**
 * Pods that are known by name and UID before they are created, so that the node can have all of one ready but its
 * program: the next pod of a ReplicaSet that is at zero. Nobody sees any of it until the ReplicaSet creates the pod.
 *
 *     node ──expect──▶ ┌──────────┐ ◀──take── ReplicaSet controller ──create, with name and UID──┐
 *          ◀─onTaken── │ expected │ ◀──claim── API server: once                                 ◀┘
 *                      └──────────┘
 */
export class ExpectedPods {
  readonly #byOwner = new Map<string, ExpectedPod>();
  /** Those that are expected, and those that were taken a moment ago. */
  readonly #uids = new Set<string>();

  expect(pod: ExpectedPod): void {
    this.#byOwner.set(pod.ownerUid, pod);
    this.#uids.add(pod.uid);
  }

  /** It is not to come any more. */
  forget(uid: string): void {
    this.#uids.delete(uid);
    for (const [owner, pod] of this.#byOwner) if (pod.uid === uid) this.#byOwner.delete(owner);
  }

  /** What its owner creates instead of `pod`: with a name and a UID, if it is the one that is expected. Once. */
  take(pod: Pod, owner: ReplicaSet): Pod {
    const ownerUid = owner.metadata.uid ?? '';
    const expected = this.#byOwner.get(ownerUid);
    if (!expected || !sameJson(expected.template, owner.spec.template)) return pod;
    this.#byOwner.delete(ownerUid);
    expected.onTaken();
    return { ...pod, metadata: { ...pod.metadata, name: expected.name, uid: expected.uid } };
  }

  /** Of the pod that is expected of an owner; undefined when none is. */
  nameOf({ metadata }: ReplicaSet): string | undefined {
    return this.#byOwner.get(metadata.uid ?? '')?.name;
  }

  /** Whether a new object may have this UID. Once for each. */
  claim(uid: string): boolean {
    return this.#uids.delete(uid);
  }
}
