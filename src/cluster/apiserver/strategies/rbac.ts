import { ClusterRoleBindingKind, type RoleBinding, RoleBindingKind } from '../../../api/rbac/bindings.ts';
import { type ClusterRole, ClusterRoleKind, type Role, RoleKind } from '../../../api/rbac/roles.ts';
import { type Column, columnsFrom, nameColumn, table } from '../http/table/column.ts';
import type { Strategy } from '../strategy.ts';

export const roles: Strategy<Role> = { kind: RoleKind, columns: roleColumns() };
export const clusterRoles: Strategy<ClusterRole> = { kind: ClusterRoleKind, columns: roleColumns() };
export const roleBindings: Strategy<RoleBinding> = { kind: RoleBindingKind, columns: bindingColumns() };
export const clusterRoleBindings: Strategy<RoleBinding> = { kind: ClusterRoleBindingKind, columns: bindingColumns() };

/** When one was made stands where others have their age. */
function roleColumns(): readonly Column[] {
  return [nameColumn, ...columnsFrom<Role>({ 'Created At': ({ metadata }) => metadata.creationTimestamp })];
}

function bindingColumns(): readonly Column[] {
  return table<RoleBinding>({
    Role: ({ roleRef }) => `${roleRef.kind}/${roleRef.name}`,
    '+Users': (binding) => namesOf(binding, 'User'),
    '+Groups': (binding) => namesOf(binding, 'Group'),
    '+ServiceAccounts': (binding) => namesOf(binding, 'ServiceAccount'),
  });
}

/** Nothing shows as nothing. */
function namesOf({ subjects }: RoleBinding, kind: string): string {
  const named = (subjects ?? []).filter((subject) => subject.kind === kind);
  return named.map(({ name, namespace }) => (namespace ? `${namespace}/${name}` : name)).join(', ');
}
