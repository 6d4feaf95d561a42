import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Pod, PodKind } from '../../api/core/pod.ts';
import type { PodSpec } from '../../api/core/pod-spec.ts';
import { type ServiceAccount, ServiceAccountKind, serviceAccountPath } from '../../api/core/service-account.ts';
import type { Admission } from '../../kube/admission.ts';
import type { Client } from '../../kube/client.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import { openApi } from '../apiserver/testing/open-api.ts';
import { serviceAccountAdmission } from './service-account.ts';

async function open(t: Parameters<typeof openApi>[0]) {
  const plugin = serviceAccountAdmission((): Client => api.client, new VirtualClock()) as unknown as Admission;
  const { api } = await openApi(t, { admission: () => [plugin] });
  const account = (name: string, more: Partial<ServiceAccount> = {}) =>
    api.client.create(ServiceAccountKind, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace: 'default', name },
      ...more,
    });
  const podWith = (spec: Partial<PodSpec>): Promise<Pod> =>
    api.client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', generateName: 'p' } as Pod['metadata'],
      spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
    });
  return { account, podWith };
}

test('a pod that says nothing gets the default account, and a volume with its token', async (t) => {
  const { account, podWith } = await open(t);
  await account('default', { imagePullSecrets: [{ name: 'registry' }] });
  const init = { name: 'i', image: 'i' };
  const own = { name: 'own', image: 'i', volumeMounts: [{ name: 'mine', mountPath: serviceAccountPath }] };
  const { spec } = await podWith({
    initContainers: [init],
    containers: [{ name: 'c', image: 'i' }, own],
    volumes: [{ name: 'mine', emptyDir: {} }],
  });
  assert.deepEqual([spec.serviceAccountName, spec.serviceAccount], ['default', 'default']);
  assert.deepEqual(spec.imagePullSecrets, [{ name: 'registry' }]);
  const name = spec.volumes?.[1]?.name ?? '';
  assert.match(name, /^kube-api-access-[a-z0-9]{5}$/);
  assert.deepEqual(spec.volumes?.[1]?.projected, {
    defaultMode: 420,
    sources: [
      { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  });
  const mount = { name, readOnly: true, mountPath: serviceAccountPath };
  assert.deepEqual(
    [...(spec.initContainers ?? []), ...spec.containers].map((c) => c.volumeMounts),
    [[mount], [mount], own.volumeMounts],
  );
});

test('whether a token is mounted the pod says, or else its account', async (t) => {
  const { account, podWith } = await open(t);
  await account('quiet', { automountServiceAccountToken: false });
  await account('loud');
  const has = async (spec: Partial<PodSpec>) => ((await podWith(spec)).spec.volumes ?? []).length > 0;
  assert.equal(await has({ serviceAccountName: 'quiet' }), false);
  assert.equal(await has({ serviceAccountName: 'quiet', automountServiceAccountToken: true }), true);
  assert.equal(await has({ serviceAccountName: 'loud', automountServiceAccountToken: false }), false);
  assert.equal(await has({ serviceAccountName: 'loud' }), true);
});

test('a pod whose account is not there is refused', async (t) => {
  const { podWith } = await open(t);
  await assert.rejects(podWith({ serviceAccountName: 'robot' }), {
    code: 403,
    message:
      /^pods "p\w+" is forbidden: error looking up service account default\/robot: serviceaccount "robot" not found$/,
  });
});
