import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigMapKind } from '../../../api/core/config-map.ts';
import { PodKind } from '../../../api/core/pod.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { ClusterRoleBindingKind, type RoleBinding, RoleBindingKind } from '../../../api/rbac/bindings.ts';
import { type ClusterRole, ClusterRoleKind, type PolicyRule, type Role, RoleKind } from '../../../api/rbac/roles.ts';
import { serviceAccount, type UserInfo } from '../../../api/user.ts';
import type { Attributes } from '../authorize.ts';
import { openApi } from '../testing/open-api.ts';
import { autoUpdate } from './default-roles.ts';
import { allows, described, missingRights } from './rules.ts';

const robot = serviceAccount('default', 'robot');
const group = 'rbac.authorization.k8s.io';
const apiVersion = `${group}/v1`;

const role = (name: string, rules: PolicyRule[], namespace = 'default'): Role => ({
  apiVersion,
  kind: 'Role',
  metadata: { namespace, name },
  rules,
});
const clusterRole = (name: string, rules: PolicyRule[], more: Partial<ClusterRole> = {}): ClusterRole => ({
  apiVersion,
  kind: 'ClusterRole',
  metadata: { name },
  rules,
  ...more,
});
const toRobot = [{ kind: 'ServiceAccount', namespace: 'default', name: 'robot' }];
const binding = (kind: string, name: string, of: string, namespace = 'default'): RoleBinding => ({
  apiVersion,
  kind: 'RoleBinding',
  metadata: { namespace, name },
  subjects: toRobot,
  roleRef: { apiGroup: group, kind, name: of },
});
const clusterBinding = (name: string, of: string): RoleBinding => ({
  apiVersion,
  kind: 'ClusterRoleBinding',
  metadata: { name },
  subjects: toRobot,
  roleRef: { apiGroup: group, kind: 'ClusterRole', name: of },
});

const readPods: PolicyRule = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] };

async function open(t: Parameters<typeof openApi>[0], platformUsers: string[] = []) {
  const { api } = await openApi(t, { rbac: { platformUsers } });
  const may = (user: UserInfo, verb: string, plural: string, where: Partial<Attributes> & object = {}) =>
    api.pipeline.policy({
      user,
      verb,
      resource: { kind: { group: '', version: 'v1', plural } },
      ...where,
    } as Attributes);
  return { api, client: api.client, may };
}

test('a rule allows what Kubernetes lets it allow', () => {
  const asked = (text: string, more: object = {}): Attributes => {
    const [verb = '', what = '', apiGroup = ''] = text.split(' ');
    if (what.startsWith('/')) return { user: robot, verb, path: what };
    const [plural = '', subresource] = what.split('/');
    return { user: robot, verb, resource: { kind: { group: apiGroup, version: '', plural } }, subresource, ...more };
  };
  const rule = (verbs: string, apiGroups: string, resources: string, resourceNames?: string[]): PolicyRule => ({
    verbs: verbs.split(' '),
    apiGroups: apiGroups.split(' ').map((each) => (each === 'core' ? '' : each)),
    resources: resources.split(' '),
    ...(resourceNames && { resourceNames }),
  });
  const url = (...nonResourceURLs: string[]): PolicyRule => ({ verbs: ['get'], nonResourceURLs });
  const table: [PolicyRule, Attributes, boolean][] = [
    [rule('get', 'core', 'pods'), asked('get pods'), true],
    [rule('get', 'core', 'pods'), asked('list pods'), false],
    [rule('*', 'core', 'pods'), asked('list pods'), true],
    [rule('get', 'apps', 'pods'), asked('get pods'), false],
    [rule('get', '*', 'pods'), asked('get pods apps'), true],
    [rule('get', 'core', 'pods'), asked('get pods/log'), false],
    [rule('get', 'core', 'pods/log'), asked('get pods/log'), true],
    [rule('get', 'core', 'pods/log'), asked('get pods'), false],
    [rule('get', 'core', '*'), asked('get pods/log'), true],
    [rule('get', 'core', '*/scale'), asked('get deployments/scale'), true],
    [rule('get', 'core', '*/scale'), asked('get scale'), false],
    [rule('get', 'core', 'pods', ['a']), asked('get pods', { name: 'a' }), true],
    [rule('get', 'core', 'pods', ['a']), asked('get pods', { name: 'b' }), false],
    [rule('list', 'core', 'pods', ['a']), asked('list pods'), false],
    [rule('*', '*', '*'), asked('get /metrics'), false],
    [url('/metrics'), asked('get /metrics'), true],
    [url('/metrics'), asked('get /metrics/x'), false],
    [url('/metrics/*'), asked('get /metrics/x'), true],
    [url('/metrics/*'), asked('get /metricsx'), false],
    [url('*'), asked('get /anything'), true],
    [url('*'), asked('get pods'), false],
  ];
  for (const [given, request, expected] of table) {
    assert.equal(allows(given, request), expected, JSON.stringify([given, { ...request, user: '' }]));
  }
});

test('what rights are missing is told in the words of Kubernetes', () => {
  const held: PolicyRule[] = [
    readPods,
    { verbs: ['get'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] },
  ];
  const missing = (rule: PolicyRule) => described(missingRights(held, [rule]));
  assert.deepEqual(missing({ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }), []);
  assert.deepEqual(missing({ verbs: ['get'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a', 'b'] }), [
    '{APIGroups:[""], Resources:["secrets"], ResourceNames:["b"], Verbs:["get"]}',
  ]);
  assert.deepEqual(missing({ verbs: ['get', 'watch', 'delete'], apiGroups: ['', 'apps'], resources: ['pods'] }), [
    '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "delete"]}',
    '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "watch" "delete"]}',
  ]);
  assert.deepEqual(missing({ verbs: ['get'], nonResourceURLs: ['/x'] }), ['{NonResourceURLs:["/x"], Verbs:["get"]}']);
});

test('an account without bindings may only do what the default one of Kubernetes may', async (t) => {
  const { api, may } = await open(t);
  const client = api.clientFor(robot);
  await assert.rejects(client.list(PodKind, { namespace: 'default' }), {
    code: 403,
    message:
      'pods is forbidden: User "system:serviceaccount:default:robot" cannot list resource "pods" in API group "" ' +
      'in the namespace "default"',
  });
  const path = (verb: string, at: string) => api.pipeline.policy({ user: robot, verb, path: at }).isAllowed;
  assert.deepEqual(
    ['/apis/apps/v1', '/openid/v1/jwks', '/version'].map((at) => path('get', at)),
    [true, true, true],
  );
  assert.deepEqual(
    ['/metrics', '/logs'].map((at) => path('get', at)),
    [false, false],
  );
  const self = { group: 'authorization.k8s.io', version: 'v1', plural: 'selfsubjectaccessreviews' };
  assert.equal(api.pipeline.policy({ user: robot, verb: 'create', resource: { kind: self } }).isAllowed, true);
  assert.equal(may({ name: 'root', groups: ['system:masters'] }, 'delete', 'nodes').isAllowed, true);
});

test('a role counts in its namespace, a cluster role where it is bound, at once and until the end', async (t) => {
  const { client, may } = await open(t);
  await client.create(RoleKind, role('reader', [readPods]));
  const inDefault = { namespace: 'default' };
  assert.equal(may(robot, 'list', 'pods', inDefault).isAllowed, false);
  await client.create(RoleBindingKind, binding('Role', 'b', 'reader'));
  assert.deepEqual(may(robot, 'list', 'pods', inDefault), {
    isAllowed: true,
    reason: 'RBAC: allowed by RoleBinding "b/default" of Role "reader" to ServiceAccount "robot/default"',
  });
  assert.equal(may(robot, 'list', 'pods', { namespace: 'kube-system' }).isAllowed, false);
  assert.equal(may(robot, 'list', 'pods').isAllowed, false);
  await client.delete(RoleBindingKind, { namespace: 'default', name: 'b' });
  assert.equal(may(robot, 'list', 'pods', inDefault).isAllowed, false);

  await client.create(ClusterRoleKind, clusterRole('everywhere', [readPods]));
  await client.create(ClusterRoleBindingKind, clusterBinding('c', 'everywhere'));
  assert.equal(may(robot, 'list', 'pods').isAllowed, true);
  const found = await client.get(ClusterRoleBindingKind, { name: 'c' });
  assert.ok(found);
  await client.update(ClusterRoleBindingKind, { ...found, subjects: [] });
  assert.equal(may(robot, 'list', 'pods').isAllowed, false);
});

test('a namespace is asked about as being in itself', async (t) => {
  const { api, client } = await open(t);
  const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['namespaces'] }];
  await client.create(RoleKind, role('own', rules));
  await client.create(RoleBindingKind, binding('Role', 'b', 'own'));
  const { resources } = api.pipeline;
  const resource = resources.find('', 'v1', 'namespaces');
  assert.ok(resource);
  const of = (name: string) => api.pipeline.policy({ user: robot, verb: 'get', resource, name }).isAllowed;
  assert.deepEqual([of('default'), of('kube-system')], [true, false]);
});

test('nobody gives others what they may not do themselves', async (t) => {
  const { api, client } = await open(t);
  const writeRoles = {
    verbs: ['create', 'update', 'get'],
    apiGroups: [group],
    resources: ['roles', 'rolebindings', 'clusterroles'],
  };
  await client.create(ClusterRoleKind, clusterRole('own', [readPods, writeRoles]));
  await client.create(ClusterRoleBindingKind, clusterBinding('own', 'own'));
  await client.create(
    ClusterRoleKind,
    clusterRole('secrets', [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }]),
  );
  const mine = api.clientFor(robot);
  await mine.create(RoleKind, role('same', [readPods]));
  await assert.rejects(mine.create(RoleKind, role('more', [{ ...readPods, verbs: ['get', 'delete'] }])), {
    code: 403,
    message:
      'roles.rbac.authorization.k8s.io "more" is forbidden: user "system:serviceaccount:default:robot" ' +
      '(groups=["system:serviceaccounts" "system:serviceaccounts:default" "system:authenticated"]) ' +
      'is attempting to grant RBAC permissions not currently held:\n' +
      '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}',
  });
  await mine.create(RoleBindingKind, binding('Role', 'same', 'same'));
  await assert.rejects(
    mine.create(RoleBindingKind, binding('ClusterRole', 'secrets', 'secrets')),
    /not currently held/,
  );
  await assert.rejects(mine.create(RoleBindingKind, binding('Role', 'none', 'none')), { code: 404 });
  await assert.rejects(
    mine.create(ClusterRoleKind, clusterRole('all', [], { aggregationRule: { clusterRoleSelectors: [{}] } })),
    /must have cluster-admin privileges to use the aggregationRule/,
  );
  const bind = { verbs: ['bind'], apiGroups: [group], resources: ['clusterroles'], resourceNames: ['secrets'] };
  await client.create(ClusterRoleKind, clusterRole('binder', [bind]));
  await client.create(ClusterRoleBindingKind, clusterBinding('binder', 'binder'));
  await mine.create(RoleBindingKind, binding('ClusterRole', 'secrets', 'secrets'));
});

test('what the default roles lack is given back at the next start, and no more than that', async (t) => {
  const { client } = await open(t, ['system:node:local']);
  const { installDefaults } = await import('./install-defaults.ts');
  const view = await client.get(ClusterRoleKind, { name: 'system:aggregate-to-view' });
  assert.ok(view?.rules?.length);
  const extra = { verbs: ['get'], apiGroups: ['example.com'], resources: ['things'] };
  await client.update(ClusterRoleKind, { ...view, rules: [extra] });
  const basic = await client.get(ClusterRoleKind, { name: 'system:basic-user' });
  assert.ok(basic);
  const { [autoUpdate]: _, ...annotations } = basic.metadata.annotations ?? {};
  await client.update(ClusterRoleKind, { ...basic, metadata: { ...basic.metadata, annotations }, rules: [] });
  await installDefaults(client, { kinds: [], platformUsers: ['system:node:local'] });
  const again = await client.get(ClusterRoleKind, { name: 'system:aggregate-to-view' });
  assert.deepEqual(missingRights(again?.rules ?? [], [...(view.rules ?? []), extra]), []);
  assert.deepEqual((await client.get(ClusterRoleKind, { name: 'system:basic-user' }))?.rules, []);
});

test('what is wrong with roles and bindings is said by field', () => {
  const errors = <T extends KubeObject>(kind: Kind<T>, object: T, old?: T) =>
    kind.validate?.(object, { old, config: {} }).map(({ field }) => field);
  assert.deepEqual(errors(RoleKind, role('r', [{ verbs: [] }])), [
    'rules[0].verbs',
    'rules[0].apiGroups',
    'rules[0].resources',
  ]);
  assert.deepEqual(errors(RoleKind, role('r', [{ verbs: ['get'], nonResourceURLs: ['/x'] }])), [
    'rules[0].nonResourceURLs',
  ]);
  assert.deepEqual(errors(ClusterRoleKind, clusterRole('r', [{ verbs: ['get'], nonResourceURLs: ['/x'] }])), []);
  assert.deepEqual(errors(ClusterRoleKind, clusterRole('r', [], { aggregationRule: {} })), [
    'aggregationRule.clusterRoleSelectors',
  ]);
  const bound = binding('Role', 'b', 'r');
  assert.deepEqual(errors(RoleBindingKind, bound), []);
  assert.deepEqual(errors(RoleBindingKind, { ...bound, roleRef: { ...bound.roleRef, kind: 'Group' } }), [
    'roleRef.kind',
  ]);
  assert.deepEqual(errors(RoleBindingKind, { ...bound, roleRef: { ...bound.roleRef, name: 'x' } }, bound), ['roleRef']);
  const user = { kind: 'User', apiGroup: group, name: 'u', namespace: 'n' };
  assert.deepEqual(errors(RoleBindingKind, { ...bound, subjects: [user, { kind: 'Robot', name: 'x' }] }), [
    'subjects[0].namespace',
    'subjects[1].kind',
  ]);
  const everywhere = clusterBinding('c', 'r');
  assert.deepEqual(
    errors(ClusterRoleBindingKind, { ...everywhere, subjects: [{ kind: 'ServiceAccount', name: 'x' }] }),
    ['subjects[0].namespace'],
  );
});

test('the names of roles may have colons, and no slashes', async (t) => {
  const { client } = await open(t);
  assert.ok(await client.create(ClusterRoleKind, clusterRole('system:mine', [])));
  await assert.rejects(client.create(ClusterRoleKind, clusterRole('a/b', [])), /metadata.name: Invalid value: "a\/b"/);
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'default', name: 'a:b' } };
  await assert.rejects(client.create(ConfigMapKind, map), { code: 422 });
});
