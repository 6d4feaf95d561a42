import type { Resources, ServedResource } from './resources.ts';
import { servedResource } from './served-resource.ts';
import type { Strategy } from './strategy.ts';

/** What is served: built-ins for good, custom resources as their definitions come and go. */
export class ResourceRegistry implements Resources {
  readonly #builtins: readonly ServedResource[];
  readonly #custom = new Map<string, readonly ServedResource[]>();
  readonly #listeners = new Set<() => void>();
  #byPath = new Map<string, ServedResource>();
  #all: readonly ServedResource[] = [];

  constructor(builtins: readonly Strategy[]) {
    this.#builtins = builtins.map((strategy) => servedResource(strategy));
    this.#index();
  }

  find(group: string, version: string, plural: string): ServedResource | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  all(): readonly ServedResource[] {
    return this.#all;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Serves the versions that the CustomResourceDefinition `name` defines, instead of those it defined before. */
  setCustom(name: string, versions: readonly ServedResource[]): void {
    if (versions.length === 0 && !this.#custom.has(name)) return;
    if (versions.length === 0) this.#custom.delete(name);
    else this.#custom.set(name, versions);
    this.#index();
    for (const listener of this.#listeners) listener();
  }

  #index(): void {
    this.#all = [...this.#builtins, ...[...this.#custom.values()].flat()];
    this.#byPath = new Map(this.#all.map((r) => [`${r.kind.group}/${r.kind.version}/${r.kind.plural}`, r]));
  }
}
