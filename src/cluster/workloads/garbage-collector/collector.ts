import type { Kind } from '../../../api/kind.ts';
import type { Key, KubeObject, OwnerReference } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import type { ReconcileContext } from '../../../kube/reconciler.ts';
import { WorkQueue } from '../../../kube/work-queue.ts';
import { messageOf } from '../../../lib/errors.ts';
import { allKinds, groupKind, groupKindOfReference } from '../kinds.ts';
import { type GraphNode, OwnershipGraph } from './graph.ts';

const concurrency = 8;

/**
 * Deletes what has lost its last owner, and carries out foreground and orphaning deletions (Kubernetes' garbage
 * collector). The graph is fed from watches; before anything is deleted its owners are looked up again in the API.
 */
export class GarbageCollector {
  readonly #context: ReconcileContext;
  readonly #graph = new OwnershipGraph();
  readonly #queue: WorkQueue;

  /** Works until the context's signal aborts. */
  constructor(context: ReconcileContext) {
    this.#context = context;
    const { clock, log } = context;
    this.#queue = new WorkQueue({ clock, log, concurrency, process: (uid) => this.#process(uid) });
    this.#queue.start();
    context.signal.addEventListener('abort', () => void this.#queue.stop(), { once: true });
  }

  observe(kind: Kind, object: KubeObject): void {
    for (const uid of this.#graph.put(kind, object)) this.#queue.add(uid);
  }

  gone(kind: Kind, key: Key): void {
    for (const uid of this.#graph.remove(kind, key)) this.#queue.add(uid);
  }

  async #process(uid: string): Promise<void> {
    const { log, signal } = this.#context;
    try {
      const node = this.#graph.get(uid);
      if (node) await this.#collect(node);
      this.#queue.forget(uid);
    } catch (error) {
      if (signal.aborted) return;
      const retryInMs = Math.round(this.#queue.retry(uid));
      log.debug({ uid, reason: messageOf(error), retryInMs }, 'garbage collection failed: trying again');
    }
  }

  async #collect(node: GraphNode): Promise<void> {
    const { client } = this.#context;
    const object = await client.get(node.kind, node.key);
    if (object?.metadata.uid !== node.uid) return;
    if (node.isOrphaning) return await this.#orphanDependents(node, object);
    if (node.isForeground) return await this.#deleteDependents(node, object);
    if (object.metadata.deletionTimestamp !== undefined) return;
    const owners = object.metadata.ownerReferences ?? [];
    if (owners.length === 0) return;
    const states = await Promise.all(owners.map((owner) => this.#stateOf(owner, object)));
    const lost = owners.filter((_owner, i) => states[i] !== 'solid');
    if (lost.length === 0) return;
    if (lost.length < owners.length) {
      const ownerReferences = owners.filter((owner) => !lost.includes(owner));
      await client.update(node.kind, { ...object, metadata: { ...object.metadata, ownerReferences } });
      return;
    }
    // The last owner waits for its dependents: then what depends on this one must be gone first, too.
    const isAwaited = states.includes('waiting') && this.#graph.dependentsOf(node.uid).length > 0;
    await client.delete(node.kind, node.key, {
      propagationPolicy: isAwaited ? 'Foreground' : 'Background',
      preconditions: { uid: node.uid },
    });
  }

  async #stateOf(owner: OwnerReference, dependent: KubeObject): Promise<'solid' | 'waiting' | 'absent'> {
    const known = this.#graph.get(owner.uid);
    if (known?.isForeground) return 'waiting';
    const kind = allKinds(this.#context.cache).find((k) => groupKind(k) === groupKindOfReference(owner));
    // An owner of a kind that is not served now may come back: nothing is deleted on a guess.
    if (!kind) return 'solid';
    const { namespace } = dependent.metadata;
    if (kind.isNamespaced && namespace === undefined) return 'solid';
    const key = kind.isNamespaced && namespace !== undefined ? { namespace, name: owner.name } : { name: owner.name };
    const found = await this.#context.client.get(kind, key);
    if (found?.metadata.uid !== owner.uid) return 'absent';
    const isWaiting = found.metadata.deletionTimestamp && found.metadata.finalizers?.includes('foregroundDeletion');
    return isWaiting ? 'waiting' : 'solid';
  }

  /** Foreground: dependents go first; the owner, once none is left that blocks it. */
  async #deleteDependents(node: GraphNode, object: KubeObject): Promise<void> {
    const dependents = this.#graph.dependentsOf(node.uid);
    const blocking = dependents.filter((dependent) => isBlocking(dependent, node.uid));
    for (const dependent of dependents) this.#queue.add(dependent.uid);
    if (blocking.length === 0) await this.#removeFinalizer(node, object, 'foregroundDeletion');
  }

  /** Orphan: dependents stay, without this owner. */
  async #orphanDependents(node: GraphNode, object: KubeObject): Promise<void> {
    const { client } = this.#context;
    for (const dependent of this.#graph.dependentsOf(node.uid)) {
      const stored = await client.get(dependent.kind, dependent.key);
      if (!stored) continue;
      const ownerReferences = (stored.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== node.uid);
      await client.update(dependent.kind, { ...stored, metadata: { ...stored.metadata, ownerReferences } });
    }
    await this.#removeFinalizer(node, object, 'orphan');
  }

  async #removeFinalizer(node: GraphNode, object: KubeObject, finalizer: string): Promise<void> {
    const finalizers = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer);
    try {
      await this.#context.client.update(node.kind, { ...object, metadata: { ...object.metadata, finalizers } });
    } catch (error) {
      if (!isNotFound(error)) throw error; // Gone already is as good.
    }
  }
}

const isBlocking = (dependent: GraphNode, owner: string) =>
  dependent.owners.some((reference) => reference.uid === owner && reference.blockOwnerDeletion);
