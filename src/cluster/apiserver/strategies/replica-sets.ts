import { type ReplicaSet, ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { workloadCells } from './cells.ts';

export const replicaSets: Strategy<ReplicaSet> = {
  kind: ReplicaSetKind,
  selectableFields: { 'status.replicas': '0' },
  columns: table<ReplicaSet>({
    Desired: ({ spec }) => spec.replicas ?? 1,
    Current: ({ status }) => status?.replicas ?? 0,
    Ready: ({ status }) => status?.readyReplicas ?? 0,
    ...workloadCells,
  }),
};
