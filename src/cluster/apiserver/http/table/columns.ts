import type { Kind, PrinterColumn } from '../../../../api/kind.ts';
import type { Strategy } from '../../strategy.ts';
import { ageText } from './age.ts';
import { ageColumn, type Cell, type Column, nameColumn } from './column.ts';
import { compileJsonPath } from './json-path.ts';

const cache = new WeakMap<Kind, readonly Column[]>();

/** The columns of a resource: what its strategy makes by hand, else what the kind itself says between NAME and AGE. */
export function columnsOf({ columns: made, kind }: Strategy): readonly Column[] {
  if (made) return made;
  let columns = cache.get(kind);
  if (!columns) {
    columns = declaredColumns(kind);
    cache.set(kind, columns);
  }
  return columns;
}

function declaredColumns(kind: Kind): readonly Column[] {
  // As in Kubernetes: a kind that declares columns says itself whether its age is one of them.
  return [nameColumn, ...(kind.columns.length === 0 ? [ageColumn] : kind.columns.map(declaredColumn))];
}

function declaredColumn(column: PrinterColumn): Column {
  const { description = '', jsonPath, name, priority = 0, type } = column;
  const valuesOf = compileColumn(jsonPath);
  return { name, type, format: '', description, priority, cell: (o, nowMs) => cellOf(valuesOf(o)[0], type, nowMs) };
}

/** A column whose path cannot be read stays empty, as it does in Kubernetes, rather than hiding the whole table. */
function compileColumn(jsonPath: string) {
  try {
    return compileJsonPath(jsonPath);
  } catch (error) {
    if (error instanceof SyntaxError) return () => [];
    throw error;
  }
}

function cellOf(value: unknown, type: PrinterColumn['type'], nowMs: number): Cell {
  if (value === undefined || value === null) return null;
  if (type === 'date') return ageText(value, nowMs);
  if (type === 'integer') return typeof value === 'number' ? Math.trunc(value) : null;
  if (type === 'number') return typeof value === 'number' ? value : null;
  if (type === 'boolean') return typeof value === 'boolean' ? value : null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
