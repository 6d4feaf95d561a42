import { type CoreEvent, EventKind } from '../../../api/core/event.ts';
import { type KubeObject, parseKeyText } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import type { StoreEvent } from '../../store/table.ts';
import { ageText } from '../http/table/age.ts';
import { type Cells, columnsFrom, nameColumn } from '../http/table/column.ts';
import type { Machinery } from '../machinery.ts';
import { apiServerUser } from '../request-info.ts';
import type { Pipeline } from '../resources.ts';
import { tableName } from '../served-resource.ts';
import type { Strategy } from '../strategy.ts';

export const events: Strategy<CoreEvent> = {
  kind: EventKind,
  selectableFields: {
    'involvedObject.kind': '',
    'involvedObject.namespace': '',
    'involvedObject.name': '',
    'involvedObject.uid': '',
    'involvedObject.apiVersion': '',
    'involvedObject.resourceVersion': '',
    'involvedObject.fieldPath': '',
    reason: '',
    reportingComponent: '',
    'source.component': '',
    type: '',
  },
  columns: [...columnsFrom(cells()), { ...nameColumn, priority: 1 }], // Events are read by time, not by name.
  upkeep: (machinery, pipeline) => new EventLimit(machinery, pipeline),
};

function cells(): Cells<CoreEvent> {
  return {
    'Last Seen': (event, nowMs) => ageText(lastSeen(event), nowMs),
    Type: (event) => event.type ?? '',
    Reason: (event) => event.reason ?? '',
    Object: ({ involvedObject }) => `${involvedObject.kind?.toLowerCase() ?? ''}/${involvedObject.name ?? ''}`,
    '+Subobject': ({ involvedObject }) => involvedObject.fieldPath ?? '',
    '+Source': ({ reportingComponent, source }) =>
      [source?.component ?? reportingComponent, source?.host].filter(Boolean).join(', '),
    Message: (event) => event.message?.trim() ?? '',
    '+First Seen': (event, nowMs) => ageText(event.firstTimestamp ?? event.eventTime ?? lastSeen(event), nowMs),
    '+Count': (event) => event.count ?? 1,
  };
}

function lastSeen(event: CoreEvent): string | undefined {
  return event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp;
}

/** Core Events are kept this long (as Kubernetes does), and no more than this many in a namespace. */
const lifeMs = 3_600_000;
const perNamespaceMax = 1000;
const sweepEveryMs = 60_000;

/** Deletes core Events that are old, and the oldest of a namespace that has too many, so that a flood fills no disk. */
class EventLimit {
  readonly #machinery: Machinery;
  readonly #pipeline: Pipeline;
  readonly #oldestFirst = new Map<string, Map<string, number>>();
  /** Those that could not be deleted. */
  readonly #left = new Set<string>();
  readonly #unsubscribe: () => void;
  #cancelSweep: () => void;

  constructor(machinery: Machinery, pipeline: Pipeline) {
    this.#machinery = machinery;
    this.#pipeline = pipeline;
    const table = machinery.store.table(tableName(EventKind));
    const stored = table.rows().toSorted(([, a], [, b]) => a.revision - b.revision);
    for (const [key, { object }] of stored) this.#note(key, bornMs(object));
    this.#unsubscribe = table.subscribe((events) => this.#onEvents(events));
    this.#cancelSweep = machinery.clock.after(sweepEveryMs, () => this.#sweep());
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancelSweep();
  }

  #onEvents(events: readonly StoreEvent[]): void {
    for (const { type, key, stored } of events) {
      this.#left.delete(key);
      if (type === 'DELETED') this.#oldestFirst.get(namespaceOf(key))?.delete(key);
      else this.#note(key, type === 'ADDED' ? bornMs(stored.object) : this.#machinery.clock.now());
    }
  }

  /** An event that is written again (its count grows) becomes the newest. */
  #note(key: string, atMs: number): void {
    const namespace = namespaceOf(key);
    const keys = this.#oldestFirst.get(namespace) ?? new Map<string, number>();
    this.#oldestFirst.set(namespace, keys);
    keys.delete(key);
    keys.set(key, atMs);
    if (keys.size <= perNamespaceMax) return;
    const oldest = keys.keys().next().value;
    if (oldest === undefined) return;
    keys.delete(oldest);
    this.#drop(oldest);
  }

  #sweep(): void {
    const { clock } = this.#machinery;
    for (const key of this.#left) this.#drop(key);
    const beforeMs = clock.now() - lifeMs;
    for (const [namespace, keys] of this.#oldestFirst) {
      for (const [key, atMs] of keys) {
        if (atMs >= beforeMs) break;
        keys.delete(key);
        this.#drop(key);
      }
      if (keys.size === 0) this.#oldestFirst.delete(namespace);
    }
    this.#cancelSweep = clock.after(sweepEveryMs, () => this.#sweep());
  }

  /** What cannot be deleted now is deleted by a later sweep. */
  #drop(key: string): void {
    this.#left.delete(key);
    const { registry, log } = this.#machinery;
    const resource = registry.find(EventKind.group, EventKind.version, EventKind.plural);
    if (!resource) return;
    const request = { user: apiServerUser, verb: 'delete' as const, resource, ...parseKeyText(key) };
    this.#pipeline.delete(request, {}).catch((error: unknown) => {
      if (isNotFound(error)) return;
      this.#left.add(key);
      log.warn({ err: error, key }, 'an old Event could not be deleted: trying again');
    });
  }
}

const namespaceOf = (key: string) => parseKeyText(key).namespace ?? '';

function bornMs({ metadata }: KubeObject): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0;
}
