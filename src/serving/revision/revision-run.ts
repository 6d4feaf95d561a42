import type { Deployment } from '../../api/apps/deployment.ts';
import type { Revision } from '../../api/serving/revision.ts';
import { conditionSet } from '../../kube/conditions.ts';
import type { Run } from '../../kube/phases.ts';

/** What is told of a Revision. */
export type ConditionType = 'Ready' | 'ResourcesAvailable' | 'ContainerHealthy' | 'Active';

export const conditions = conditionSet<ConditionType>({
  happy: 'Ready',
  dependents: ['ResourcesAvailable', 'ContainerHealthy'],
  informational: ['Active'],
});

/** One reconcile of a Revision, as its phases see it. */
export interface RevisionRun extends Run<Revision, ConditionType> {
  /** What runs it, once a phase has made sure of it. */
  deployment?: Deployment;
}
