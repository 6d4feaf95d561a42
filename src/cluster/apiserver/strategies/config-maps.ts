import { type ConfigMap, ConfigMapKind } from '../../../api/core/config-map.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const configMaps: Strategy<ConfigMap> = {
  kind: ConfigMapKind,
  columns: table<ConfigMap>({
    Data: ({ binaryData = {}, data = {} }) => Object.keys(data).length + Object.keys(binaryData).length,
  }),
};
