import { type Kind, referenceTo } from '../../../api/kind.ts';
import { type Key, type KubeObject, keyOf, keyText, type OwnerReference } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { keyFor } from '../../../kube/kinds.ts';
import type { ControllerContext } from '../../../kube/reconciler.ts';
import { WorkQueue } from '../../../kube/work-queue.ts';
import { messageOf } from '../../../lib/errors.ts';
import { SetAsideError, workName } from '../../../lib/quarantine.ts';
import { type GraphNode, mayOwn, OwnershipGraph } from './graph.ts';

const concurrency = 8;
const orphansAtOnce = 32;

/**
 * Deletes what has lost its last owner, and carries out foreground and orphaning deletions (Kubernetes' garbage
 * collector). The graph is fed from watches; before anything is deleted its owners are looked up again in the API.
 */
export class GarbageCollector {
  readonly #context: ControllerContext;
  readonly #graph = new OwnershipGraph();
  readonly #queue: WorkQueue;

  /** Works until the context's signal aborts. */
  constructor(context: ControllerContext) {
    this.#context = context;
    const { clock, log } = context;
    this.#queue = new WorkQueue({ clock, log, concurrency, process: (uid) => this.#process(uid) });
    this.#queue.start();
    const stopListening = context.quarantine.onRelease((work) => this.#release(work));
    const stop = () => {
      stopListening();
      void this.#queue.stop(); // Never rejects.
    };
    context.signal.addEventListener('abort', stop);
  }

  observe(kind: Kind, object: KubeObject): void {
    for (const uid of this.#graph.put(kind, object)) this.#queue.add(uid);
  }

  gone(kind: Kind, key: Key): void {
    for (const uid of this.#graph.remove(kind, key)) this.#queue.add(uid);
  }

  #release(work: string): void {
    for (const node of this.#graph.nodes()) if (workOf(node) === work) this.#queue.add(node.uid);
  }

  async #process(uid: string): Promise<void> {
    const { log, signal, quarantine } = this.#context;
    const node = this.#graph.get(uid);
    if (!node) return this.#queue.forget(uid);
    const work = workOf(node);
    try {
      await quarantine.run(work, () => this.#collect(node));
      this.#queue.forget(uid);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SetAsideError) {
        log.error({ work, reason: error.message }, 'nothing is collected for this object');
        return this.#queue.forget(uid);
      }
      const retryInMs = Math.round(this.#queue.retry(uid));
      const fields = { kind: node.kind.kind, key: keyText(node.key), reason: messageOf(error), retryInMs };
      if (isConflict(error)) log.debug(fields, 'the object changed meanwhile: looking at it again');
      else log.warn(fields, 'garbage collection failed: trying again');
    }
  }

  async #collect(node: GraphNode): Promise<void> {
    const { client } = this.#context;
    const object = await client.get(node.kind, node.key);
    if (object?.metadata.uid !== node.uid) return;
    if (node.isOrphaning) return await this.#orphanDependents(node, object);
    if (node.isForeground) {
      // Foreground: dependents go first; each was looked at when its owner began to wait.
      if (!this.#graph.mustWait(node.uid)) await this.#removeFinalizer(node, object, 'foregroundDeletion');
      return;
    }
    if (object.metadata.deletionTimestamp !== undefined) return;
    const owners = object.metadata.ownerReferences ?? [];
    const states = await Promise.all(owners.map((owner) => this.#stateOf(owner, object)));
    const lost = owners.filter((_owner, i) => states[i] !== 'solid');
    if (lost.length === 0) return;
    const solid = owners.filter((owner) => !lost.includes(owner));
    if (await this.#isHeld(node.uid, solid)) {
      await client.update(node.kind, { ...object, metadata: { ...object.metadata, ownerReferences: solid } });
      return;
    }
    // The last owner waits for its dependents: then what depends on this one must be gone first, too.
    const isAwaited = states.includes('waiting') && this.#graph.hasDependents(node.uid);
    await client.delete(node.kind, node.key, {
      propagationPolicy: isAwaited ? 'Foreground' : 'Background',
      preconditions: { uid: node.uid },
    });
  }

  /**
   * Whether, of the `owners` that an object has left, one is held by something else than the object itself: following
   * owners upwards, an object is found that nobody owns, or that is not known well enough to delete on its account.
   */
  async #isHeld(uid: string, owners: readonly OwnerReference[]): Promise<boolean> {
    const seen = new Set([uid]);
    const above = owners.map((owner) => owner.uid);
    for (let next = above.pop(); next !== undefined; next = above.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      const node = this.#graph.get(next);
      if (!node) return true;
      if (node.isForeground) continue;
      const { metadata } = (await this.#context.client.get(node.kind, node.key)) ?? {};
      if (metadata?.uid !== next) continue;
      if (!metadata.ownerReferences?.length) return true;
      above.push(...metadata.ownerReferences.map((owner) => owner.uid));
    }
    return false;
  }

  async #stateOf(owner: OwnerReference, dependent: KubeObject): Promise<'solid' | 'waiting' | 'absent'> {
    const { group, kind: name } = referenceTo(owner);
    const kind = await this.#context.client.kindOf({ group, kind: name });
    // An owner of a kind that is not served now may come back: nothing is deleted on a guess.
    if (!kind) return 'solid';
    const { namespace } = dependent.metadata;
    if (kind.isNamespaced && namespace === undefined) return 'solid';
    const known = this.#graph.get(owner.uid);
    if (known?.isForeground && mayOwn(known.key, keyOf(dependent))) return 'waiting';
    const key = keyFor(kind, { ...(namespace !== undefined && { namespace }), name: owner.name });
    const found = await this.#context.client.get(kind, key);
    if (found?.metadata.uid !== owner.uid) return 'absent';
    const isWaiting = found.metadata.deletionTimestamp && found.metadata.finalizers?.includes('foregroundDeletion');
    return isWaiting ? 'waiting' : 'solid';
  }

  /** Orphan: dependents stay, without this owner. */
  async #orphanDependents(node: GraphNode, object: KubeObject): Promise<void> {
    const dependents = this.#graph.dependentsOf(node.uid);
    while (dependents.length > 0) {
      const some = dependents.splice(0, orphansAtOnce);
      await Promise.all(some.map((dependent) => this.#disown(dependent, node.uid)));
    }
    await this.#removeFinalizer(node, object, 'orphan');
  }

  async #disown(dependent: GraphNode, owner: string): Promise<void> {
    const { client } = this.#context;
    const stored = await client.get(dependent.kind, dependent.key);
    if (stored?.metadata.uid !== dependent.uid) return;
    const ownerReferences = (stored.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner);
    await client.update(dependent.kind, { ...stored, metadata: { ...stored.metadata, ownerReferences } });
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

const workOf = ({ kind, key }: GraphNode): string => workName(`garbage-collection ${kind.plural} ${keyText(key)}`);
