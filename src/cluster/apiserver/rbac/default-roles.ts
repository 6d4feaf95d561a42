import type { Kind } from '../../../api/kind.ts';
import { ClusterRoleBindingKind, type RoleBinding, type Subject } from '../../../api/rbac/bindings.ts';
import { type ClusterRole, ClusterRoleKind, type PolicyRule, rbacGroup } from '../../../api/rbac/roles.ts';

/** The roles that any Kubernetes has (its bootstrap policy), for what there is here, and the one of the platform. */
export const defaultRoles = (): ClusterRole[] => [
  role('cluster-admin', [resources('*', '*', '*'), paths('*', '*')]),
  aggregated('admin'),
  aggregated('edit', 'admin'),
  aggregated('view', 'edit'),
  role('system:aggregate-to-admin', adminRules, aggregatedTo('admin')),
  role('system:aggregate-to-edit', editRules, aggregatedTo('edit')),
  role('system:aggregate-to-view', viewRules, aggregatedTo('view')),
  role('system:discovery', [
    paths('get', '/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/'),
  ]),
  role('system:basic-user', [
    resources('create', 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'),
    resources('create', 'authentication.k8s.io', 'selfsubjectreviews'),
  ]),
  role('system:public-info-viewer', [paths('get', '/healthz /livez /readyz /version /version/')]),
  role('system:service-account-issuer-discovery', [
    paths(
      'get',
      '/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/',
    ),
  ]),
  role('system:auth-delegator', [
    resources('create', 'authentication.k8s.io', 'tokenreviews'),
    resources('create', 'authorization.k8s.io', 'subjectaccessreviews'),
  ]),
  role('system:monitoring', [
    paths('get', '/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*'),
    resources('get', core, 'nodes/metrics'),
  ]),
  role(platformRole, [resources('*', '*', '*'), paths('*', '*')]),
];

export const defaultBindings = (): RoleBinding[] => [
  binding('cluster-admin', [group('system:masters')]),
  binding('system:discovery', [group('system:authenticated')]),
  binding('system:basic-user', [group('system:authenticated')]),
  binding('system:public-info-viewer', [group('system:authenticated'), group('system:unauthenticated')]),
  binding('system:service-account-issuer-discovery', [group('system:serviceaccounts')]),
  binding('system:monitoring', [group('system:monitoring')]),
];

/** What `admin`, `edit` and `view` have of the platform's kinds, as Knative's own aggregated roles. */
export function rolesOfKinds(kinds: readonly Kind[]): ClusterRole[] {
  const groups = [...new Set(kinds.filter(({ isNamespaced }) => isNamespaced).map(({ group }) => group))].sort();
  if (groups.length === 0) return [];
  const rule = (verbs: string): PolicyRule => ({ verbs: verbs.split(' '), apiGroups: groups, resources: ['*'] });
  return [
    role('kittiwake:aggregate-to-edit', [rule(writing)], aggregatedTo('edit')),
    role('kittiwake:aggregate-to-view', [rule(reading)], aggregatedTo('view')),
  ];
}

/** What the platform's own parts have: all of it, as each was trusted with before there were roles. */
export const platformRole = 'kittiwake:platform';

/** Gives the platform's parts what they need. */
export const platformBinding = (users: readonly string[]): RoleBinding =>
  binding(
    platformRole,
    users.map((name) => ({ kind: 'User', apiGroup: rbacGroup, name })),
  );

const core = '-';
const reading = 'get list watch';
const writing = 'create delete deletecollection patch update';

const workloads =
  'daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale';

const editRules: PolicyRule[] = [
  resources(reading, core, 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'),
  resources('impersonate', core, 'serviceaccounts'),
  resources(writing, core, 'pods pods/attach pods/exec pods/portforward pods/proxy'),
  resources('create', core, 'pods/eviction'),
  resources(
    writing,
    core,
    'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets ' +
      'serviceaccounts services services/proxy',
  ),
  resources('create', core, 'serviceaccounts/token'),
  resources(writing, 'apps', `${workloads} deployments/rollback`),
  resources(writing, 'autoscaling', 'horizontalpodautoscalers'),
  resources(writing, 'batch', 'cronjobs jobs'),
  resources(writing, 'policy', 'poddisruptionbudgets'),
  resources(writing, 'networking.k8s.io', 'ingresses networkpolicies'),
  resources(`${writing} ${reading}`, 'coordination.k8s.io', 'leases'),
];

const viewRules: PolicyRule[] = [
  resources(
    reading,
    core,
    'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers ' +
      'replicationcontrollers/scale serviceaccounts services services/status',
  ),
  resources(
    reading,
    core,
    'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status ' +
      'resourcequotas resourcequotas/status',
  ),
  resources(reading, core, 'namespaces'),
  resources(reading, 'discovery.k8s.io', 'endpointslices'),
  resources(
    reading,
    'apps',
    `${workloads} controllerrevisions daemonsets/status deployments/status replicasets/status statefulsets/status`,
  ),
  resources(reading, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'),
  resources(reading, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
  resources(reading, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'),
  resources(reading, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
];

const adminRules: PolicyRule[] = [
  resources('create', 'authorization.k8s.io', 'localsubjectaccessreviews'),
  resources(`${writing} ${reading}`, rbacGroup, 'rolebindings roles'),
];

function resources(verbs: string, group: string, names: string): PolicyRule {
  return { verbs: verbs.split(' '), apiGroups: [group === core ? '' : group], resources: names.split(' ') };
}

function paths(verbs: string, urls: string): PolicyRule {
  return { verbs: verbs.split(' '), nonResourceURLs: urls.split(' ') };
}

const group = (name: string): Subject => ({ kind: 'Group', apiGroup: rbacGroup, name });
const aggregatedTo = (name: string) => ({ [`rbac.authorization.k8s.io/aggregate-to-${name}`]: 'true' });

/** Marks what is brought back to this at each start, unless somebody takes the annotation away. */
const marks = (labels: Record<string, string> = {}) => ({
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  annotations: { [autoUpdate]: 'true' },
});
export const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';

function role(name: string, rules: PolicyRule[], labels?: Record<string, string>): ClusterRole {
  const { group: apiGroup, kind, version } = ClusterRoleKind;
  return { apiVersion: `${apiGroup}/${version}`, kind, metadata: { name, ...marks(labels) }, rules };
}

/** A role that has what all roles have that are labelled for it; and is itself part of another. */
function aggregated(name: string, of?: string): ClusterRole {
  return {
    ...role(name, [], of === undefined ? {} : aggregatedTo(of)),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: aggregatedTo(name) }] },
  };
}

function binding(name: string, subjects: Subject[]): RoleBinding {
  const { group: apiGroup, kind, version } = ClusterRoleBindingKind;
  return {
    apiVersion: `${apiGroup}/${version}`,
    kind,
    metadata: { name, ...marks() },
    subjects,
    roleRef: { apiGroup: rbacGroup, kind: ClusterRoleKind.kind, name },
  };
}
