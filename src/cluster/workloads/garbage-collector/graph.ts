import type { Kind } from '../../../api/kind.ts';
import { type Key, type KubeObject, keyOf, keyText, type OwnerReference } from '../../../api/meta.ts';
import { kindId } from '../kinds.ts';

/** An object, as far as ownership goes. */
export interface GraphNode {
  uid: string;
  kind: Kind;
  key: Key;
  owners: readonly OwnerReference[];
  /** Being deleted, and waiting for its dependents to be gone. */
  isForeground: boolean;
  /** Being deleted, and waiting for its dependents to be disowned. */
  isOrphaning: boolean;
}

/** Who owns whom, by UID: a name may be taken anew by another object. */
export class OwnershipGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #uids = new Map<string, string>();
  readonly #dependents = new Map<string, Set<string>>();

  /** Takes in an object as it is now; returns the UIDs that need attention. */
  put(kind: Kind, object: KubeObject): string[] {
    const { uid, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata;
    if (uid === undefined) return [];
    const key = keyOf(object);
    const name = nameOf(kind, key);
    const attention: string[] = [];
    const previous = this.#uids.get(name);
    if (previous !== undefined && previous !== uid) attention.push(...this.remove(kind, key));
    const old = this.#nodes.get(uid);
    const isDeleting = deletionTimestamp !== undefined;
    const node: GraphNode = {
      uid,
      kind,
      key,
      owners: ownerReferences,
      isForeground: isDeleting && finalizers.includes('foregroundDeletion'),
      isOrphaning: isDeleting && finalizers.includes('orphan'),
    };
    for (const { uid: owner } of old?.owners ?? []) this.#dependents.get(owner)?.delete(uid);
    for (const { uid: owner } of node.owners)
      this.#dependents.set(owner, (this.#dependents.get(owner) ?? new Set()).add(uid));
    this.#nodes.set(uid, node);
    this.#uids.set(name, uid);
    // Owners may have changed, or a foreground owner have become blocked or free.
    const hasChanged = !old || !sameOwners(old, node);
    if (node.owners.length > 0 && hasChanged) attention.push(uid);
    if (node.isForeground || node.isOrphaning) attention.push(uid);
    if (hasChanged)
      for (const { uid: owner } of old?.owners ?? []) if (this.#nodes.get(owner)?.isForeground) attention.push(owner);
    return attention;
  }

  /** The object is gone; returns the UIDs that need attention: its dependents, and owners that wait for it. */
  remove(kind: Kind, key: Key): string[] {
    const name = nameOf(kind, key);
    const uid = this.#uids.get(name);
    if (uid === undefined) return [];
    this.#uids.delete(name);
    const node = this.#nodes.get(uid);
    this.#nodes.delete(uid);
    const attention = this.dependentsOf(uid).map((dependent) => dependent.uid);
    for (const { uid: owner } of node?.owners ?? []) {
      const siblings = this.#dependents.get(owner);
      siblings?.delete(uid);
      if (siblings?.size === 0) this.#dependents.delete(owner);
      if (this.#nodes.get(owner)?.isForeground) attention.push(owner);
    }
    return attention;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }
}

const nameOf = (kind: Kind, key: Key) => `${kindId(kind)}/${keyText(key)}`;

const sameOwners = (a: GraphNode, b: GraphNode) =>
  a.owners.length === b.owners.length &&
  a.owners.every((r, i) => r.uid === b.owners[i]?.uid && r.blockOwnerDeletion === b.owners[i]?.blockOwnerDeletion);
