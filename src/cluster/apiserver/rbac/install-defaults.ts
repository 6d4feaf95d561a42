import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { ClusterRoleBindingKind, type RoleBinding, type Subject } from '../../../api/rbac/bindings.ts';
import { type ClusterRole, ClusterRoleKind } from '../../../api/rbac/roles.ts';
import type { Client } from '../../../kube/client.ts';
import { despiteRaces } from '../../../kube/despite-races.ts';
import { sameJson } from '../../../lib/same-json.ts';
import { autoUpdate, defaultBindings, defaultRoles, platformBinding, rolesOfKinds } from './default-roles.ts';
import { missingRights } from './rules.ts';

/**
 * Makes the default roles and bindings, and gives back to those that are there what they lack (as Kubernetes at each
 * start): more than that is the operator's own, and so is what does not ask to be kept up any more.
 */
export async function installDefaults(
  client: Client,
  { kinds, platformUsers }: { kinds: readonly Kind[]; platformUsers: readonly string[] },
): Promise<void> {
  const bindings = [...defaultBindings(), platformBinding(platformUsers)];
  await Promise.all([
    ...[...defaultRoles(), ...rolesOfKinds(kinds)].map((role) => installOne(client, ClusterRoleKind, role, withRules)),
    ...bindings.map((binding) => installOne(client, ClusterRoleBindingKind, binding, withSubjects)),
  ]);
}

function installOne<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  wanted: T,
  merge: (current: T, wanted: T) => T,
): Promise<void> {
  return despiteRaces(async () => {
    const current = await client.get(kind, { name: wanted.metadata.name });
    if (!current) {
      await client.create(kind, wanted);
      return;
    }
    if (current.metadata.annotations?.[autoUpdate] !== 'true') return;
    const labels = { ...current.metadata.labels, ...wanted.metadata.labels };
    const next = merge({ ...current, metadata: { ...current.metadata, labels } }, wanted);
    if (!sameJson(next, current)) await client.update(kind, next);
  });
}

function withRules(current: ClusterRole, wanted: ClusterRole): ClusterRole {
  if (wanted.aggregationRule) return { ...current, aggregationRule: wanted.aggregationRule };
  const rules = current.rules ?? [];
  return { ...current, rules: [...rules, ...missingRights(rules, wanted.rules ?? [])] };
}

function withSubjects(current: RoleBinding, wanted: RoleBinding): RoleBinding {
  const has = (subject: Subject) => (current.subjects ?? []).some((each) => sameJson(each, subject));
  return { ...current, subjects: [...(current.subjects ?? []), ...(wanted.subjects ?? []).filter((s) => !has(s))] };
}
