import { type Deployment, DeploymentKind } from '../../../api/apps/deployment.ts';
import { table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';
import { workloadCells } from './cells.ts';

export const deployments: Strategy<Deployment> = {
  kind: DeploymentKind,
  columns: table<Deployment>({
    Ready: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`,
    'Up-to-date': ({ status }) => status?.updatedReplicas ?? 0,
    Available: ({ status }) => status?.availableReplicas ?? 0,
    ...workloadCells,
  }),
};
