import type { KubeObject } from '../../../../api/meta.ts';
import type { Cell, Column } from './column.ts';

/** How much of each object a table's rows carry: nothing, metadata, or all. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  columns: readonly Column[];
  /** Of meta.k8s.io. */
  version: string;
  includeObject: IncludeObject;
  nowMs: number;
  /** Told of a cell that could not be made: the others are shown. */
  onFailure(error: unknown, column: string, object: KubeObject): void;
  /** In a watch only the first event describes the columns. */
  hasHeader?: boolean;
}

export interface ListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
}

/** A meta.k8s.io Table: what kubectl prints for people. */
export function renderTable(objects: readonly KubeObject[], metadata: ListMeta, options: TableOptions): object {
  return { ...tableHead(metadata, options), rows: objects.map((object) => renderRow(object, options)) };
}

/** A Table without its rows. */
export function tableHead(metadata: ListMeta, { columns, hasHeader = true, version }: TableOptions): object {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    columnDefinitions: hasHeader ? columns.map(({ cell: _, ...definition }) => definition) : null,
  };
}

export function renderRow(
  object: KubeObject,
  { columns, includeObject, nowMs, onFailure, version }: TableOptions,
): object {
  const cellOf = (column: Column): Cell => {
    try {
      return column.cell(object, nowMs);
    } catch (error) {
      onFailure(error, column.name, object);
      return '<error>';
    }
  };
  return {
    cells: columns.map(cellOf),
    ...(includeObject === 'Metadata' && { object: partial(object, version) }),
    ...(includeObject === 'Object' && { object }),
  };
}

/** Only who and what an object is. */
export function partial(object: KubeObject, version: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
