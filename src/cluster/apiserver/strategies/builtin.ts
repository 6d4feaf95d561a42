import type { Kind } from '../../../api/kind.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { PodLogs } from '../../pod-logs.ts';
import type { PodStreams } from '../../pod-streams.ts';
import type { UsageReader } from '../../pod-usage.ts';
import { defaultServiceNetwork, type ServiceNetwork } from '../../service-network.ts';
import type { ConversionOf } from '../crds/custom-resources.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { RbacAuthorizer } from '../rbac/authorizer.ts';
import type { Strategy } from '../strategy.ts';
import { configMaps } from './config-maps.ts';
import { customResourceDefinitions } from './custom-resource-definitions.ts';
import { deployments } from './deployments.ts';
import { endpointSlices, endpoints } from './endpoints.ts';
import { events } from './events.ts';
import { leases } from './leases.ts';
import { namespaces } from './namespaces.ts';
import { networkPolicies } from './network-policies.ts';
import { nodes } from './nodes.ts';
import { pods } from './pods.ts';
import { clusterRoleBindings, clusterRoles, roleBindings, roles } from './rbac.ts';
import { replicaSets } from './replica-sets.ts';
import { reviews } from './reviews.ts';
import { runtimeClasses } from './runtime-classes.ts';
import { secrets } from './secrets.ts';
import { serviceAccounts } from './service-accounts.ts';
import { services } from './services.ts';
import { persistentVolumeClaims, persistentVolumes, storageClasses } from './storage.ts';
import { usage } from './usage.ts';

export interface StrategyDeps {
  /** The kinds of the platform. */
  kinds: readonly Kind[];
  podLogs?: PodLogs | undefined;
  podStreams?: PodStreams | undefined;
  usage?: UsageReader | undefined;
  conversionOf?: ConversionOf | undefined;
  serviceNetwork?: ServiceNetwork | undefined;
  clock: Clock;
  tokens?: ServiceAccountTokens | undefined;
  /** Lists what a user may do. */
  rbac?: Pick<RbacAuthorizer, 'rulesFor'> | undefined;
}

/** All that Kubernetes has by itself, one line each. */
export const builtinStrategies = ({
  clock,
  conversionOf,
  kinds,
  podLogs,
  podStreams,
  usage: usageReader,
  serviceNetwork = defaultServiceNetwork,
  rbac,
  tokens,
}: StrategyDeps): readonly Strategy[] => [
  namespaces,
  configMaps,
  secrets,
  serviceAccounts(tokens, clock),
  services(serviceNetwork),
  endpoints,
  pods({ podLogs, podStreams, clock }),
  nodes,
  events,
  deployments,
  replicaSets,
  endpointSlices,
  leases,
  networkPolicies,
  runtimeClasses,
  roles,
  clusterRoles,
  roleBindings,
  clusterRoleBindings,
  storageClasses,
  persistentVolumes,
  persistentVolumeClaims,
  customResourceDefinitions(kinds, conversionOf),
  ...reviews(clock, tokens, rbac),
  ...usage(usageReader),
];
