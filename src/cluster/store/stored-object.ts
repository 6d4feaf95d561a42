import type { KubeObject } from '../../api/meta.ts';
import { weightOf } from './weight.ts';

/**
 * One version of one object: immutable, shared by readers, watchers and the writer. Its JSON text is kept only while
 * it is news (`keepJson` until `dropJson`); afterwards it is made each time: it would double what the store holds.
 */
export class StoredObject<T extends KubeObject = KubeObject> {
  readonly object: T;
  /** The numeric `metadata.resourceVersion`; 0 for what was never stored (dry runs, Scale). */
  readonly revision: number;
  #json: string | undefined;
  #weight = 0;
  #otherVersions: Map<string, StoredObject<T>> | undefined;

  constructor(object: T, revision: number) {
    this.object = object;
    this.revision = revision;
  }

  /** About how many bytes of memory the object takes. */
  get weight(): number {
    this.#weight ||= weightOf(this.object);
    return this.#weight;
  }

  /** The object as compact JSON text. */
  get json(): string {
    return this.#json ?? JSON.stringify(this.object);
  }

  /** Makes the text once, to be shared until `dropJson`. */
  keepJson(): string {
    this.#json ??= JSON.stringify(this.object);
    return this.#json;
  }

  dropJson(): void {
    this.#json = undefined;
  }

  /** Another version of its kind shows it like this: its fields, but not its metadata, differ. */
  isShownAs(other: T): void {
    this.#otherVersions ??= new Map();
    const object = { ...other, metadata: this.object.metadata };
    this.#otherVersions.set(other.apiVersion, new StoredObject<T>(object, this.revision));
  }

  /** The same object under another version of its kind: unless told otherwise, only `apiVersion` changes. */
  as(apiVersion: string): StoredObject<T> {
    if (this.object.apiVersion === apiVersion) return this;
    this.#otherVersions ??= new Map();
    let other = this.#otherVersions.get(apiVersion);
    if (!other) {
      other = new StoredObject<T>({ ...this.object, apiVersion }, this.revision);
      this.#otherVersions.set(apiVersion, other);
    }
    return other;
  }
}
