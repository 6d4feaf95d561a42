/** Who asks, as its certificate, its token or its place in this process says. */
export interface UserInfo {
  name: string;
  uid?: string;
  groups: readonly string[];
  /** What else is known of who asks, by key: of which pod a ServiceAccount's token is. */
  extra?: Readonly<Record<string, readonly string[]>>;
}

/** Everybody who has shown who they are. */
export const authenticatedGroup = 'system:authenticated';

/** The user that a ServiceAccount is, as Kubernetes names it: what RBAC binds on a cluster, it binds here. */
export function serviceAccount(namespace: string, name: string): UserInfo {
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, authenticatedGroup],
  };
}
