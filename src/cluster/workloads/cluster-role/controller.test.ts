import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClusterRole, ClusterRoleKind } from '../../../api/rbac/roles.ts';
import { runControllers } from '../../../kube/runner.ts';
import { systemClock } from '../../../lib/clock.ts';
import { until } from '../../../lib/testing/until.ts';
import { silentLogger } from '../../../observe/log.ts';
import { openApi } from '../../apiserver/testing/open-api.ts';
import { clusterRoleAggregationController } from './controller.ts';

test('a role has the rules of those that are labelled for it, through others too', async (t) => {
  const { api } = await openApi(t, { clock: systemClock, rbac: { platformUsers: [] } });
  const controllers = await runControllers([clusterRoleAggregationController() as never], {
    client: api.client,
    clock: systemClock,
    log: silentLogger,
  });
  t.after(() => controllers.stop());
  const has = async (name: string, resource: string) => {
    const role = await api.client.get(ClusterRoleKind, { name });
    return (role?.rules ?? []).some(({ resources }) => resources?.includes(resource));
  };
  const things: ClusterRole = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'things', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
    rules: [{ verbs: ['get'], apiGroups: ['example.com'], resources: ['things'] }],
  };
  await api.client.create(ClusterRoleKind, things);
  for (const name of ['view', 'edit', 'admin']) await until(() => has(name, 'things'));
  assert.equal(await has('view', 'secrets'), false);
  assert.equal(await has('edit', 'secrets'), true);
  await api.client.delete(ClusterRoleKind, { name: 'things' });
  for (const name of ['view', 'edit', 'admin']) await until(async () => !(await has(name, 'things')));
});
