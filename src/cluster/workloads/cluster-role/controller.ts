import { type ClusterRole, ClusterRoleKind, type PolicyRule } from '../../../api/rbac/roles.ts';
import { selects } from '../../../api/selector.ts';
import type { Controller } from '../../../kube/reconciler.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { kubeController } from '../users.ts';

/** Gives each ClusterRole with an aggregationRule the rules of all those that its selectors choose, by their names. */
export function clusterRoleAggregationController(): Controller<ClusterRole> {
  return {
    name: 'cluster-role-aggregation',
    user: kubeController('clusterrole-aggregation-controller'),
    kind: ClusterRoleKind,
    watches: [
      {
        kind: ClusterRoleKind,
        keys: (_, cache) =>
          cache
            .list(ClusterRoleKind)
            .filter((role) => role.aggregationRule)
            .map(({ metadata: { name } }) => ({ name })),
      },
    ],
    async reconcile(role, { cache, client }) {
      const selectors = role.aggregationRule?.clusterRoleSelectors;
      if (!selectors || role.metadata.deletionTimestamp !== undefined) return;
      const chosen = cache
        .list(ClusterRoleKind)
        .filter(({ metadata }) => metadata.name !== role.metadata.name)
        .filter(({ metadata }) => selectors.some((selector) => selects(selector, metadata.labels)))
        .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      const rules = withoutRepeats(chosen.flatMap((each) => each.rules ?? []));
      if (!sameJson(rules, role.rules ?? [])) await client.update(ClusterRoleKind, { ...role, rules });
    },
  };
}

function withoutRepeats(rules: readonly PolicyRule[]): PolicyRule[] {
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}
