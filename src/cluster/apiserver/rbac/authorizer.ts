import type { KubeObject } from '../../../api/meta.ts';
import { ClusterRoleBindingKind, type RoleBinding, RoleBindingKind, type Subject } from '../../../api/rbac/bindings.ts';
import { ClusterRoleKind, type PolicyRule, type Role, RoleKind } from '../../../api/rbac/roles.ts';
import { serviceAccount, type UserInfo } from '../../../api/user.ts';
import type { Store } from '../../store/store.ts';
import type { Row, StoreEvent, Table } from '../../store/table.ts';
import { type Decision, namespaceOf, type Policy } from '../authorize.ts';
import { tableName } from '../served-resource.ts';
import { allows } from './rules.ts';

/** Whoever is in it may do everything, so that nobody locks themselves out (as in Kubernetes). */
export const mastersGroup = 'system:masters';

interface Grant {
  rule: PolicyRule;
  /** For the answer to why: `RoleBinding "a/b" of Role "c" to User "d"`. */
  because: string;
}

/**
 * What roles and their bindings in the store allow. Each is looked up as it is at this moment; bindings are found by
 * their subjects:
 *
 *     user, groups ──▶ bindings of all namespaces, and of the one that is asked about ──▶ role ──▶ rules
 */
export class RbacAuthorizer {
  readonly #roles: Table;
  readonly #clusterRoles: Table;
  readonly #everywhere: BindingIndex;
  readonly #inNamespaces: BindingIndex;

  constructor(store: Store) {
    this.#roles = store.table(tableName(RoleKind));
    this.#clusterRoles = store.table(tableName(ClusterRoleKind));
    this.#everywhere = new BindingIndex(store.table(tableName(ClusterRoleBindingKind)));
    this.#inNamespaces = new BindingIndex(store.table(tableName(RoleBindingKind)));
  }

  readonly policy: Policy = (request): Decision => {
    if (request.user.groups.includes(mastersGroup)) return { isAllowed: true, reason: '' };
    const namespace = 'path' in request ? undefined : namespaceOf(request);
    for (const { because, rule } of this.#grants(request.user, namespace)) {
      if (allows(rule, request)) return { isAllowed: true, reason: `RBAC: allowed by ${because}` };
    }
    return { isAllowed: false, reason: '' };
  };

  /** All that the user may do: everywhere, and in the namespace where one is given. */
  rulesFor(user: UserInfo, namespace: string | undefined): PolicyRule[] {
    if (user.groups.includes(mastersGroup)) return everything;
    return [...this.#grants(user, namespace)].map(({ rule }) => rule);
  }

  /** The rules of a role that a binding names; undefined when there is no such role. */
  rulesOf({ kind, name }: RoleBinding['roleRef'], namespace: string | undefined): readonly PolicyRule[] | undefined {
    const stored = kind === 'Role' ? this.#roles.get(`${namespace}/${name}`) : this.#clusterRoles.get(name);
    return stored && ((stored.object as Role).rules ?? []);
  }

  stop(): void {
    this.#everywhere.stop();
    this.#inNamespaces.stop();
  }

  *#grants(user: UserInfo, namespace: string | undefined): Generator<Grant> {
    for (const [subject, words] of subjectsOf(user)) {
      yield* this.#of(this.#everywhere.of(subject), 'ClusterRoleBinding', undefined, words);
      if (namespace === undefined) continue;
      yield* this.#of(this.#inNamespaces.of(`${namespace}/${subject}`), 'RoleBinding', namespace, words);
    }
  }

  *#of(bindings: Iterable<RoleBinding>, kind: string, namespace: string | undefined, to: string): Generator<Grant> {
    for (const { metadata, roleRef } of bindings) {
      const name = namespace === undefined ? metadata.name : `${metadata.name}/${namespace}`;
      const because = `${kind} "${name}" of ${roleRef.kind} "${roleRef.name}" to ${to}`;
      for (const rule of this.rulesOf(roleRef, namespace) ?? []) yield { rule, because };
    }
  }
}

const everything: PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

/** Keys of the index, each with its words. */
function* subjectsOf({ groups, name }: UserInfo): Generator<[key: string, words: string]> {
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? [];
  yield [`User ${name}`, account === undefined ? `User "${name}"` : `ServiceAccount "${account}/${namespace}"`];
  for (const group of groups) yield [`Group ${group}`, `Group "${group}"`];
}

/** To whom a binding of the namespace gives its role; ServiceAccounts are users. */
function keyOf({ kind, name, namespace: given }: Subject, namespace: string | undefined): string {
  const user = kind === 'ServiceAccount' ? serviceAccount(given || namespace || '', name).name : name;
  const key = `${kind === 'Group' ? 'Group' : 'User'} ${user}`;
  return namespace === undefined ? key : `${namespace}/${key}`;
}

/** The bindings of a table by their subjects, as they come and go. */
class BindingIndex {
  readonly #bySubject = new Map<string, Map<string, RoleBinding>>();
  readonly #unsubscribe: () => void;

  constructor(table: Table) {
    for (const [key, stored] of table.rows() as Row[]) this.#add(key, stored.object);
    this.#unsubscribe = table.subscribe((events) => {
      for (const event of events) this.#take(event);
    });
  }

  of(subject: string): Iterable<RoleBinding> {
    return this.#bySubject.get(subject)?.values() ?? [];
  }

  stop(): void {
    this.#unsubscribe();
  }

  #take({ key, previous, stored, type }: StoreEvent): void {
    for (const subject of previous ? subjectKeys(previous.object) : []) {
      const bindings = this.#bySubject.get(subject);
      bindings?.delete(key);
      if (bindings?.size === 0) this.#bySubject.delete(subject);
    }
    if (type !== 'DELETED') this.#add(key, stored.object);
  }

  #add(key: string, object: KubeObject): void {
    for (const subject of subjectKeys(object)) {
      const bindings = this.#bySubject.get(subject) ?? new Map<string, RoleBinding>();
      this.#bySubject.set(subject, bindings.set(key, object as RoleBinding));
    }
  }
}

const subjectKeys = (object: KubeObject): string[] =>
  ((object as RoleBinding).subjects ?? []).map((subject) => keyOf(subject, object.metadata.namespace));
