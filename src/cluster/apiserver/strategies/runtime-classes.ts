import { type RuntimeClass, RuntimeClassKind } from '../../../api/node/runtime-class.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const runtimeClasses: Strategy<RuntimeClass> = {
  kind: RuntimeClassKind,
  columns: table<RuntimeClass>({ Handler: ({ handler }) => handler }),
};
