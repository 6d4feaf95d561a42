import { type Secret, SecretKind } from '../../../api/core/secret.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const secrets: Strategy<Secret> = {
  kind: SecretKind,
  selectableFields: { type: '' },
  columns: table<Secret>({ Type: ({ type }) => type, Data: ({ data = {} }) => Object.keys(data).length }),
};
