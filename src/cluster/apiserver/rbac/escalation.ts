import type { Kind } from '../../../api/kind.ts';
import { ClusterRoleBindingKind, type RoleBinding, RoleBindingKind } from '../../../api/rbac/bindings.ts';
import { type ClusterRole, ClusterRoleKind, type PolicyRule, RoleKind } from '../../../api/rbac/roles.ts';
import { forbidden, notFound } from '../../../api/status.ts';
import type { Admission, AdmissionRequest } from '../../../kube/admission.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { mastersGroup, type RbacAuthorizer } from './authorizer.ts';
import { described, missingRights, quoted } from './rules.ts';

/**
 * Nobody gives others, or themselves, what they may not do: whoever writes a role must hold all its rights, or may
 * `escalate`; whoever binds one, too, or may `bind` it (as in Kubernetes).
 */
export const escalationCheck = (authorizer: RbacAuthorizer): Admission => ({
  name: 'RBACEscalation',
  kinds: [RoleKind, ClusterRoleKind, RoleBindingKind, ClusterRoleBindingKind].map((kind) => kind as unknown as Kind),
  validate(request) {
    const { object, old, user } = request;
    if (user.groups.includes(mastersGroup) || (old && isOnlyLeaving(object, old))) return [];
    if (request.kind.kind === RoleKind.kind || request.kind.kind === ClusterRoleKind.kind)
      judgeRole(request, authorizer);
    else judgeBinding(request, authorizer);
    return [];
  },
});

/** What ends an object, and changes nothing of what it says. */
const isOnlyLeaving = (object: object, old: object): boolean =>
  sameJson({ ...object, metadata: {} }, { ...old, metadata: {} });

function judgeRole(request: AdmissionRequest, authorizer: RbacAuthorizer): void {
  const { kind, namespace, object, old, user } = request;
  const { name } = object.metadata;
  const { isAllowed } = authorizer.policy({ user, verb: 'escalate', resource: { kind }, namespace, name });
  if (isAllowed) return;
  const role = object as ClusterRole;
  confirm(request, authorizer, role.rules ?? []);
  const aggregates = [role, old as ClusterRole | undefined].some((each) => each?.aggregationRule !== undefined);
  if (aggregates && missingRights(authorizer.rulesFor(user, undefined), everything).length > 0) {
    throw forbidden(kind, name, 'must have cluster-admin privileges to use the aggregationRule');
  }
}

const everything: PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

function judgeBinding(request: AdmissionRequest, authorizer: RbacAuthorizer): void {
  const { namespace, object, user } = request;
  const { roleRef } = object as RoleBinding;
  const kind = (roleRef.kind === RoleKind.kind ? RoleKind : ClusterRoleKind) as unknown as Kind;
  const { isAllowed } = authorizer.policy({ user, verb: 'bind', resource: { kind }, namespace, name: roleRef.name });
  if (isAllowed) return;
  const rules = authorizer.rulesOf(roleRef, namespace);
  if (!rules) throw notFound(kind, roleRef.name);
  confirm(request, authorizer, rules);
}

function confirm(
  { kind, namespace, object, user }: AdmissionRequest,
  authorizer: RbacAuthorizer,
  rules: readonly PolicyRule[],
): void {
  const missing = missingRights(authorizer.rulesFor(user, namespace), rules);
  if (missing.length === 0) return;
  const who = `user ${JSON.stringify(user.name)} (groups=${quoted(user.groups)})`;
  const what = 'is attempting to grant RBAC permissions not currently held';
  throw forbidden(kind, object.metadata.name, `${who} ${what}:\n${described(missing).join('\n')}`);
}
