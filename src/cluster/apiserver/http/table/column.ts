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
