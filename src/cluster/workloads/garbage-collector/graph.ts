import { apiVersionOf, type Kind } from '../../../api/kind.ts';
import { type Key, type KubeObject, keyOf, keyText, type OwnerReference } from '../../../api/meta.ts';

/** An object, as far as ownership goes. */
export interface GraphNode {
  uid: string;
  kind: Kind;
  key: Key;
  owners: readonly OwnerReference[];
  /** The UIDs of the owners that are to wait for it. In a web everybody asks this of everybody. */
  blocks: ReadonlySet<string>;
  /** Being deleted, and waiting for its dependents to be gone. */
  isForeground: boolean;
  /** Being deleted, and waiting for its dependents to be disowned. */
  isOrphaning: boolean;
}

/** Who owns whom, by UID: a name may be taken anew by another object. */
export class OwnershipGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #byName = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  /** Takes in an object as it is now; returns the UIDs that need attention. */
  put(kind: Kind, object: KubeObject): string[] {
    const { uid, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata;
    if (uid === undefined) return [];
    const key = keyOf(object);
    const name = nameOf(kind, key);
    const attention: string[] = [];
    const previous = this.#byName.get(name);
    if (previous && previous.uid !== uid) attention.push(...this.remove(kind, key));
    const old = this.#nodes.get(uid);
    const isDeleting = deletionTimestamp !== undefined;
    const node: GraphNode = {
      uid,
      kind,
      key,
      owners: ownerReferences,
      blocks: blockedBy(ownerReferences),
      isForeground: isDeleting && finalizers.includes('foregroundDeletion'),
      isOrphaning: isDeleting && finalizers.includes('orphan'),
    };
    for (const { uid: owner } of old?.owners ?? []) this.#disown(owner, uid);
    for (const { uid: owner } of node.owners)
      this.#dependents.set(owner, (this.#dependents.get(owner) ?? new Set()).add(uid));
    this.#nodes.set(uid, node);
    this.#byName.set(name, node);
    const hasChanged = !old || !sameOwners(old, node);
    if ((node.owners.length > 0 && hasChanged) || node.isForeground || node.isOrphaning) attention.push(uid);
    if (node.isForeground && !old?.isForeground) attention.push(...(this.#dependents.get(uid) ?? []));
    if (old && hasChanged) attention.push(...this.#waitingFor(old));
    return attention;
  }

  /** The object is gone; returns the UIDs that need attention: its dependents, and owners that wait for it. */
  remove(kind: Kind, key: Key): string[] {
    const name = nameOf(kind, key);
    const node = this.#byName.get(name);
    if (!node) return [];
    this.#byName.delete(name);
    this.#nodes.delete(node.uid);
    const dependents = [...(this.#dependents.get(node.uid) ?? [])];
    for (const { uid: owner } of node.owners) this.#disown(owner, node.uid);
    return [...dependents, ...this.#waitingFor(node)];
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  nodes(): Iterable<GraphNode> {
    return this.#nodes.values();
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }

  hasDependents(uid: string): boolean {
    return this.#dependents.has(uid);
  }

  /** Whether dependents must go before the object may: those that block it, unless it is in a circle with them. */
  mustWait(uid: string): boolean {
    let isBlocked = false;
    for (const dependent of this.#blocking(uid)) {
      // What is not on its way is not waiting for anything: no need to look further.
      if (!dependent.isForeground) return true;
      isBlocked = true;
    }
    return isBlocked && !this.#isInCircle(uid);
  }

  /**
   * Whether the object waits for itself, and for nothing that could still go first: all that it waits for, and they
   * wait for, are objects that wait, too. Then none of them would ever be the first to go.
   *
   *   a ──▶ b ──▶ c ──▶ a        a circle: each may go
   *         └───▶ d              as long as d is there, none
   *
   * Depth first: what is no circle is found out at the first object that waits for nothing.
   */
  #isInCircle(uid: string): boolean {
    const seen = new Set<string>();
    const path = [this.#blocking(uid)];
    let isClosed = false;
    for (let dependents = path.at(-1); dependents; dependents = path.at(-1)) {
      const { value: dependent, done } = dependents.next();
      if (done) {
        path.pop();
        continue;
      }
      isClosed ||= dependent.uid === uid;
      if (seen.has(dependent.uid)) continue;
      seen.add(dependent.uid);
      if (!dependent.isForeground || this.#isFree(dependent.uid)) return false;
      path.push(this.#blocking(dependent.uid));
    }
    return isClosed;
  }

  #isFree(uid: string): boolean {
    for (const _ of this.#blocking(uid)) return false;
    return true;
  }

  /** The dependents for which `uid` waits when it is deleted in the foreground; one at a time, as there may be many. */
  *#blocking(uid: string): Generator<GraphNode, undefined> {
    const owner = this.#nodes.get(uid);
    if (!owner) return;
    for (const dependentUid of this.#dependents.get(uid) ?? []) {
      const dependent = this.#nodes.get(dependentUid);
      if (dependent && blocks(dependent, owner)) yield dependent;
    }
  }

  /** The owners that wait, or waited, for `node`. */
  #waitingFor(node: GraphNode): string[] {
    const blocked = node.owners.filter((r) => r.blockOwnerDeletion && this.#nodes.get(r.uid)?.isForeground);
    return blocked.map(({ uid }) => uid);
  }

  #disown(owner: string, dependent: string): void {
    const siblings = this.#dependents.get(owner);
    siblings?.delete(dependent);
    if (siblings?.size === 0) this.#dependents.delete(owner);
  }
}

/** An owner is in the namespace of what it owns, or in none (Kubernetes' documentation, "Owners and Dependents"). */
export const mayOwn = (owner: Key, dependent: Key) =>
  owner.namespace === undefined || owner.namespace === dependent.namespace;

const blocks = (dependent: GraphNode, owner: GraphNode) =>
  dependent.blocks.has(owner.uid) && mayOwn(owner.key, dependent.key);

const none: ReadonlySet<string> = new Set();

function blockedBy(owners: readonly OwnerReference[]): ReadonlySet<string> {
  const blocked = owners.filter((owner) => owner.blockOwnerDeletion);
  return blocked.length === 0 ? none : new Set(blocked.map((owner) => owner.uid));
}

const nameOf = (kind: Kind, key: Key) => `${apiVersionOf(kind)}/${kind.kind}/${keyText(key)}`;

const sameOwners = (a: GraphNode, b: GraphNode) =>
  a.owners.length === b.owners.length &&
  a.owners.every((r, i) => r.uid === b.owners[i]?.uid && r.blockOwnerDeletion === b.owners[i]?.blockOwnerDeletion);
