import type { KubeObject } from '../../../../api/meta.ts';
import type { Column } from './column.ts';

/** How much of each object a table's rows carry: nothing, metadata, or all. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  columns: readonly Column[];
  /** Of meta.k8s.io. */
  version: string;
  includeObject: IncludeObject;
  nowMs: number;
  /** In a watch only the first event describes the columns. */
  hasHeader?: boolean;
}

interface ListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
}

/** A meta.k8s.io Table: what kubectl prints for people. */
export function renderTable(objects: readonly KubeObject[], metadata: ListMeta, options: TableOptions): object {
  const { columns, hasHeader = true, includeObject, nowMs, version } = options;
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    columnDefinitions: hasHeader ? columns.map(({ cell: _, ...definition }) => definition) : null,
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.cell(object, nowMs)),
      ...(includeObject === 'Metadata' && { object: partial(object, version) }),
      ...(includeObject === 'Object' && { object }),
    })),
  };
}

/** Only who and what an object is. */
export function partial(object: KubeObject, version: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}

export function partialList(objects: readonly KubeObject[], metadata: ListMeta, version: string): object {
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    items: objects.map((object) => partial(object, version)),
  };
}
