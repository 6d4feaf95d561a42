import { ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import { builtinKinds } from '../../../api/builtin.ts';
import { NodeKind } from '../../../api/core/node.ts';
import { SecretKind } from '../../../api/core/secret.ts';
import { CoreServiceKind } from '../../../api/core/service.ts';
import { ServiceAccountKind } from '../../../api/core/service-account.ts';
import type { Kind } from '../../../api/kind.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { PodLogs } from '../../pod-logs.ts';
import type { Strategy } from '../strategy.ts';
import { customResourceDefinitions } from './custom-resource-definitions.ts';
import { events } from './events.ts';
import { namespaces } from './namespaces.ts';
import { pods } from './pods.ts';
import { reviews } from './reviews.ts';

export interface StrategyDeps {
  /** The kinds of the platform. */
  kinds: readonly Kind[];
  podLogs?: PodLogs | undefined;
  clock: Clock;
}

/** All that Kubernetes has by itself. A kind that no line names does nothing beyond what its Kind says. */
export function builtinStrategies({ clock, kinds, podLogs }: StrategyDeps): readonly Strategy[] {
  const own: readonly Strategy[] = [
    namespaces,
    pods(podLogs),
    events,
    customResourceDefinitions(kinds),
    { kind: SecretKind, selectableFields: { type: '' } },
    { kind: NodeKind, selectableFields: { 'spec.unschedulable': 'false' } },
    { kind: CoreServiceKind, selectableFields: { 'spec.clusterIP': '', 'spec.type': '' }, returnsDeleted: true },
    { kind: ServiceAccountKind, returnsDeleted: true },
    { kind: ReplicaSetKind, selectableFields: { 'status.replicas': '0' } },
  ];
  const stored = builtinKinds.map((kind) => own.find((strategy) => strategy.kind === kind) ?? { kind });
  return [...stored, ...reviews(clock)];
}
