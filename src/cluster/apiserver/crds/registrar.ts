import {
  type CustomResourceDefinition,
  CustomResourceDefinitionKind,
} from '../../../api/apiextensions/custom-resource-definition.ts';
import type { Kind } from '../../../api/kind.ts';
import { type Condition, timestamp } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { StoreEvent } from '../../store/table.ts';
import { keyOfStoreKey, type Machinery } from '../machinery.ts';
import { tableName } from '../resource-registry.ts';
import type { NamedTarget, Pipeline, ServedResource } from '../resources.ts';
import { customResources } from './custom-resources.ts';
import { customResourceCleanup, definitionsTable } from './definition-table.ts';
import { nameConflict } from './names.ts';

const options = { user: 'system:apiserver' };

/**
 * Serves what CustomResourceDefinitions define. A new definition is served first (so that discovery shows it), and only
 * then told so in its status: NamesAccepted, Established. One that is being deleted takes its objects with it.
 */
export class DefinitionRegistrar {
  readonly #machinery: Machinery;
  readonly #pipeline: Pipeline;
  readonly #known: readonly Kind[];
  readonly #unsubscribe: () => void;
  readonly #emptied = new Map<string, () => void>();
  #work: Promise<void> = Promise.resolve();

  /** Serves what is in the store already, at once; `known` are the kinds of the platform. */
  constructor(machinery: Machinery, pipeline: Pipeline, known: readonly Kind[]) {
    this.#machinery = machinery;
    this.#pipeline = pipeline;
    this.#known = known;
    const table = machinery.store.table(definitionsTable);
    for (const [, stored] of table.scan()) this.#onDefinition(stored.object as CustomResourceDefinition);
    this.#unsubscribe = table.subscribe((events) => {
      for (const event of events) this.#onEvent(event);
    });
  }

  stop(): void {
    this.#unsubscribe();
    for (const unsubscribe of this.#emptied.values()) unsubscribe();
    this.#emptied.clear();
  }

  /** Resolves when the statuses of all definitions that were seen so far are written. */
  async settled(): Promise<void> {
    for (let work: Promise<void> | undefined; work !== this.#work; ) {
      work = this.#work;
      await work;
    }
  }

  #onEvent(event: StoreEvent): void {
    const definition = event.stored.object as CustomResourceDefinition;
    if (event.type === 'DELETED') {
      this.#machinery.registry.setCustom(definition.metadata.name, []);
      this.#emptied.get(definition.metadata.name)?.();
      this.#emptied.delete(definition.metadata.name);
    } else {
      this.#onDefinition(definition);
    }
  }

  #onDefinition(definition: CustomResourceDefinition): void {
    const { registry } = this.#machinery;
    const { name } = definition.metadata;
    const conflict = nameConflict(definition, registry.all());
    if (!conflict) registry.setCustom(name, customResources(definition, this.#known));
    if (definition.metadata.deletionTimestamp !== undefined) this.#clean(definition);
    else this.#inBackground(() => this.#report(definition, conflict));
  }

  /** Failures are logged; the next change of the definition, or the next start, tries again. */
  #inBackground(task: () => Promise<void>): void {
    const done = task().catch((error: unknown) => {
      if (isNotFound(error) || isConflict(error)) return; // A newer state of the definition is on its way here.
      this.#machinery.log.error({ err: error }, 'the status of a CustomResourceDefinition could not be written');
    });
    this.#work = Promise.all([this.#work, done]).then(() => {});
  }

  async #report(definition: CustomResourceDefinition, conflict: string | undefined): Promise<void> {
    const { spec, status } = definition;
    const now = timestamp(this.#machinery.clock.now());
    const isFree = conflict === undefined;
    const wanted: Condition[] = [
      condition('NamesAccepted', isFree, isFree ? 'NoConflicts' : 'Conflict', conflict ?? 'no conflicts found', now),
      isFree
        ? condition('Established', true, 'InitialNamesAccepted', 'the initial names have been accepted', now)
        : condition('Established', false, 'NotAccepted', 'not all names are accepted', now),
    ];
    const storage = spec.versions.find((version) => version.storage)?.name;
    const next = {
      conditions: wanted.map((c) => {
        const old = status?.conditions?.find((o) => o.type === c.type);
        return old?.status === c.status ? old : c;
      }),
      acceptedNames: isFree ? spec.names : (status?.acceptedNames ?? { plural: '', kind: '' }),
      storedVersions: [...new Set([...(status?.storedVersions ?? []), ...(storage === undefined ? [] : [storage])])],
    };
    if (sameJson(next, status)) return;
    const target = { ...this.#target(definition), subresource: 'status' as const };
    await this.#pipeline.update(target, { ...definition, status: next }, options);
  }

  /** Deletes the definition's objects, and lets it go when the last one is gone. */
  #clean(definition: CustomResourceDefinition): void {
    const { store } = this.#machinery;
    const { name, finalizers } = definition.metadata;
    if (!finalizers?.includes(customResourceCleanup) || this.#emptied.has(name)) return;
    const table = store.table(tableName({ group: definition.spec.group, plural: definition.spec.names.plural }));
    const release = () => {
      if (table.size === 0) this.#inBackground(() => this.#release(definition));
    };
    this.#emptied.set(name, table.subscribe(release));
    this.#inBackground(async () => {
      const resource = this.#machinery.registry.all().find((r) => r.table === table.name);
      if (resource)
        await this.#deleteAll(
          resource,
          [...table.scan()].map(([key]) => key),
        );
      release();
    });
  }

  async #deleteAll(resource: ServedResource, keys: readonly string[]): Promise<void> {
    const deletions = keys.map(async (key) => {
      try {
        await this.#pipeline.delete({ resource, ...keyOfStoreKey(key) }, {}, options);
      } catch (error) {
        if (!isNotFound(error)) throw error; // Gone is what is wanted.
      }
    });
    await Promise.all(deletions);
  }

  async #release(definition: CustomResourceDefinition): Promise<void> {
    const target = this.#target(definition);
    const { object } = await this.#pipeline.get(target);
    const finalizers = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== customResourceCleanup);
    await this.#pipeline.update(target, { ...object, metadata: { ...object.metadata, finalizers } }, options);
  }

  #target({ metadata }: CustomResourceDefinition): NamedTarget {
    const { group, version, plural } = CustomResourceDefinitionKind;
    const resource = this.#machinery.registry.find(group, version, plural);
    if (!resource) throw new Error('CustomResourceDefinitions are not served');
    return { resource, name: metadata.name };
  }
}

function condition(type: string, isTrue: boolean, reason: string, message: string, now: string): Condition {
  return { type, status: isTrue ? 'True' : 'False', reason, message, lastTransitionTime: now };
}
