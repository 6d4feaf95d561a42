import type { CustomResourceDefinition } from '../../../api/apiextensions/custom-resource-definition.ts';
import type { Kind } from '../../../api/kind.ts';
import { type Condition, timestamp } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { dated } from '../../../kube/conditions.ts';
import { WorkQueue } from '../../../kube/work-queue.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { StoreEvent } from '../../store/table.ts';
import { type Convert, convertLoaded } from '../conversion.ts';
import type { Machinery } from '../machinery.ts';
import type { Pipeline } from '../resources.ts';
import { type ConversionOf, customResources } from './custom-resources.ts';
import { definitionsTable } from './definition-table.ts';
import { nameConflict } from './names.ts';
import { aboutDefinition, objectsTable, terminate } from './termination.ts';

/** How many definitions are reported on, or ended, at once. */
const concurrency = 8;

/**
 * Serves what CustomResourceDefinitions define. A new definition is served first (so that discovery shows it), and only
 * then told so in its status: NamesAccepted, Established. One that is being deleted takes its objects with it.
 */
export class DefinitionRegistrar {
  readonly #machinery: Machinery;
  readonly #pipeline: Pipeline;
  readonly #known: readonly Kind[];
  readonly #conversionOf: ConversionOf;
  readonly #unsubscribe: () => void;
  readonly #queue: WorkQueue;
  /** What calls a definition that is being deleted when its objects change. */
  readonly #emptied = new Map<string, () => void>();
  /** Definitions that were seen and not yet worked on. */
  readonly #unseen = new Set<string>();
  #onSettled: (() => void)[] = [];

  /** Serves what is in the store already, at once, unless it is to be converted; `known` are the platform's kinds. */
  constructor(machinery: Machinery, pipeline: Pipeline, known: readonly Kind[], conversionOf: ConversionOf) {
    this.#machinery = machinery;
    this.#pipeline = pipeline;
    this.#known = known;
    this.#conversionOf = conversionOf;
    this.#queue = new WorkQueue({
      process: (name) => this.#process(name),
      clock: machinery.clock,
      log: machinery.log,
      concurrency,
    });
    this.#queue.start();
    const table = machinery.store.table(definitionsTable);
    for (const [, stored] of table.rows()) this.#onDefinition(stored.object as CustomResourceDefinition);
    this.#unsubscribe = table.subscribe((events) => {
      for (const event of events) this.#onEvent(event);
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    for (const unsubscribe of this.#emptied.values()) unsubscribe();
    this.#emptied.clear();
    await this.#queue.stop();
  }

  /** Resolves when the statuses of all definitions that were seen so far are written, or have failed once. */
  async settled(): Promise<void> {
    if (this.#unseen.size > 0) await new Promise<void>((resolve) => this.#onSettled.push(resolve));
  }

  #onEvent(event: StoreEvent): void {
    const definition = event.stored.object as CustomResourceDefinition;
    if (event.type === 'DELETED') {
      this.#machinery.registry.setCustom(definition.metadata.name, []);
      this.#stopWaiting(definition.metadata.name);
    } else {
      this.#onDefinition(definition);
    }
  }

  /** What one definition says harms no other: one that cannot be served is not, and its status says why. */
  #onDefinition(definition: CustomResourceDefinition): void {
    const { log } = this.#machinery;
    const { name } = definition.metadata;
    try {
      if (!this.#conversionOf(definition)) this.#serve(definition);
    } catch (error) {
      log.error({ err: error, definition: name }, 'what a CustomResourceDefinition defines cannot be served');
    }
    this.#unseen.add(name);
    this.#queue.add(name);
  }

  #serve(definition: CustomResourceDefinition, convert?: Convert): void {
    const { registry } = this.#machinery;
    if (nameConflict(definition, registry.all())) return;
    registry.setCustom(definition.metadata.name, customResources(definition, this.#known, convert));
  }

  /** Conflicts are no failure: the newer state of the definition is on its way here. */
  async #process(name: string): Promise<void> {
    try {
      await this.#sync(name);
      this.#queue.forget(name);
    } catch (error) {
      if (!isNotFound(error)) {
        const retryAfterMs = this.#queue.retry(name);
        if (!isConflict(error)) {
          const fields = { err: error, definition: name, retryAfterMs };
          this.#machinery.log.error(fields, 'a CustomResourceDefinition could not be brought up to date');
        }
      }
    }
    this.#unseen.delete(name);
    if (this.#unseen.size === 0) for (const resolve of this.#onSettled.splice(0)) resolve();
  }

  async #sync(name: string): Promise<void> {
    const { store } = this.#machinery;
    const definition = store.table(definitionsTable).get(name)?.object as CustomResourceDefinition | undefined;
    if (!definition) return;
    const convert = this.#conversionOf(definition);
    if (convert) {
      // What was stored before this start, or before this version was: reads do not wait.
      await convertLoaded(store.table(objectsTable(definition)), convert);
      if (store.table(definitionsTable).get(name)?.object !== definition) return; // Its change calls again.
      this.#serve(definition, convert);
    }
    if (definition.metadata.deletionTimestamp === undefined) return await this.#report(definition);
    if (!this.#emptied.has(name)) {
      const table = store.table(objectsTable(definition));
      const onChange = () => {
        if (table.size === 0) this.#queue.add(name);
      };
      this.#emptied.set(name, table.subscribe(onChange));
    }
    await terminate(this.#machinery, this.#pipeline, name);
  }

  #stopWaiting(name: string): void {
    this.#emptied.get(name)?.();
    this.#emptied.delete(name);
  }

  async #report(definition: CustomResourceDefinition): Promise<void> {
    const { registry, clock } = this.#machinery;
    const { spec, status } = definition;
    const conflict = nameConflict(definition, registry.all());
    const now = timestamp(clock.now());
    const isFree = conflict === undefined;
    const wanted: Condition[] = [
      condition('NamesAccepted', isFree, isFree ? 'NoConflicts' : 'Conflict', conflict ?? 'no conflicts found'),
      isFree
        ? condition('Established', true, 'InitialNamesAccepted', 'the initial names have been accepted')
        : condition('Established', false, 'NotAccepted', 'not all names are accepted'),
    ];
    const storage = spec.versions.find((version) => version.storage)?.name;
    const next = {
      conditions: wanted.map((c) => dated(c, status?.conditions, now)),
      acceptedNames: isFree ? spec.names : (status?.acceptedNames ?? { plural: '', kind: '' }),
      storedVersions: [...new Set([...(status?.storedVersions ?? []), ...(storage === undefined ? [] : [storage])])],
    };
    if (sameJson(next, status)) return;
    const request = aboutDefinition(this.#machinery, 'update', definition.metadata.name, 'status');
    await this.#pipeline.update(request, { ...definition, status: next }, {});
  }
}

function condition(type: string, isTrue: boolean, reason: string, message: string): Condition {
  return { type, status: isTrue ? 'True' : 'False', reason, message };
}
