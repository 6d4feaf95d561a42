import type { KubeObject } from '../../../../api/meta.ts';
import { ageText } from './age.ts';

/** A value in a table; null shows as `<none>`. */
export type Cell = string | number | boolean | null;

/** One column of a Table: how it is described to the client, and how an object fills it. */
export interface Column {
  name: string;
  type: string;
  /** `name` marks the column that `-o name` and others read. */
  format: string;
  description: string;
  /** 0 is always shown; above 0 only with `-o wide`. */
  priority: number;
  cell(object: KubeObject, nowMs: number): Cell;
}

/** The cells of a kind's columns, by name; one whose name starts with `+` shows only with `-o wide`. */
export type Cells<T> = Record<string, (object: T, nowMs: number) => Cell | undefined>;

export function columnsFrom<T extends KubeObject>(cells: Cells<T>): Column[] {
  return Object.entries(cells).map(([name, cell]) => ({
    name: name.replace(/^\+/, ''),
    type: 'string',
    format: '',
    description: '',
    priority: name.startsWith('+') ? 1 : 0,
    cell: (object, nowMs) => cell(object as T, nowMs) ?? '<none>',
  }));
}

/** A table as kubectl's users know them: these columns between name and age, the wide ones after it. */
export function table<T extends KubeObject>(cells: Cells<T>): readonly Column[] {
  const own = columnsFrom(cells);
  const shown = own.filter((column) => column.priority === 0);
  const wide = own.filter((column) => column.priority > 0);
  return [nameColumn, ...shown, ageColumn, ...wide];
}

export const nameColumn: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name must be unique within a namespace.',
  priority: 0,
  cell: (object) => object.metadata.name,
};

export const ageColumn: Column = {
  name: 'Age',
  type: 'string',
  format: '',
  description: 'Time since the object was created.',
  priority: 0,
  cell: (object, nowMs) => ageText(object.metadata.creationTimestamp, nowMs),
};
