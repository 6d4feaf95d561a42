import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Deployment, DeploymentKind } from '../../../api/apps/deployment.ts';
import { NamespaceKind } from '../../../api/core/namespace.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import type { PodSpec } from '../../../api/core/pod-spec.ts';
import type { KubeObject } from '../../../api/meta.ts';
import { silentLogger } from '../../../observe/log.ts';
import { asking, askingFor, openApi } from '../../apiserver/testing/open-api.ts';
import { podSecurityAdmission } from './pod-security.ts';
import { podSecuritySettings } from './settings.ts';

const prefix = 'pod-security.kubernetes.io';
const hostNetwork: Partial<PodSpec> = { hostNetwork: true };

async function open(t: Parameters<typeof openApi>[0], config: Record<string, string> = {}) {
  const plugin = podSecurityAdmission({
    client: () => api.client,
    settings: () => podSecuritySettings({ 'kube-system/pod-security': config }),
    log: silentLogger,
  });
  const { api } = await openApi(t, { admission: () => [plugin] });
  const label = async (labels: Record<string, string>) => {
    const found = await api.client.get(NamespaceKind, { name: 'default' });
    assert.ok(found);
    const request = { ...askingFor(api, NamespaceKind, 'update', 'default'), namespace: undefined };
    return (await api.pipeline.update(request, { ...found, metadata: { ...found.metadata, labels } }, {})).warnings;
  };
  const write = async <T extends KubeObject>(kind: typeof PodKind | typeof DeploymentKind, object: T) =>
    (await api.pipeline.create(asking(api, kind as typeof PodKind, 'create'), object, {})).warnings;
  const pod = (spec: Partial<PodSpec>, name = 'p') => write(PodKind, podOf(spec, name));
  return { api, label, pod, write };
}

const podOf = (spec: Partial<PodSpec>, name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});

const deploymentOf = (spec: Partial<PodSpec>): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace: 'default', name: 'd' },
  spec: {
    selector: { matchLabels: { app: 'a' } },
    template: { metadata: { labels: { app: 'a' } }, spec: podOf(spec, 'x').spec },
  },
});

test('a namespace that says nothing has pods of level baseline, unless an operator says otherwise', async (t) => {
  const { pod } = await open(t);
  assert.deepEqual(await pod({}), []);
  await assert.rejects(pod({ ...hostNetwork, hostPID: true }, 'q'), {
    code: 403,
    message:
      'pods "q" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true, hostPID=true)',
  });
  const { pod: anyPod } = await open(t, { 'default-level': 'privileged' });
  assert.deepEqual(await anyPod(hostNetwork), []);
  const { pod: oddPod } = await open(t, { 'default-level': 'bogus' });
  await assert.rejects(oddPod({}), /violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false/);
});

test('a label lets a namespace have more, or less, of the rules of a release', async (t) => {
  const { label, pod } = await open(t);
  await label({ [`${prefix}/enforce`]: 'privileged', [`${prefix}/warn`]: 'privileged' });
  assert.deepEqual(await pod(hostNetwork), []);
  await label({ [`${prefix}/enforce`]: 'restricted', [`${prefix}/enforce-version`]: 'v1.7' });
  await assert.rejects(
    pod({}, 'q'),
    /violates PodSecurity "restricted:v1.7": runAsNonRoot != true \(pod or container "c" must set security/,
  );
});

test('what is only warned of comes with the answer', async (t) => {
  const { label, pod } = await open(t);
  await label({ [`${prefix}/warn`]: 'restricted', [`${prefix}/warn-version`]: 'v1.7' });
  const expected = 'pod or container "c" must set securityContext.runAsNonRoot=true';
  assert.deepEqual(await pod({}), [`would violate PodSecurity "restricted:v1.7": runAsNonRoot != true (${expected})`]);
});

test('a workload is never refused for its template, and its maker is warned', async (t) => {
  const { write } = await open(t);
  assert.deepEqual(await write(DeploymentKind, deploymentOf(hostNetwork)), [
    'would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
  ]);
});

test('labels that cannot be read are refused, and which pods that run are against new ones is said', async (t) => {
  const { label, pod } = await open(t);
  await label({ [`${prefix}/enforce`]: 'privileged' });
  for (const name of ['a', 'b', 'c']) await pod(hostNetwork, name);
  await pod({ hostIPC: true, volumes: [{ name: 'v', hostPath: { path: '/' } }] }, 'd');
  await assert.rejects(label({ [`${prefix}/enforce`]: 'hard', [`${prefix}/warn-version`]: '1.2' }), (error: Error) => {
    assert.match(error.message, /metadata.labels\[pod-security.kubernetes.io\/enforce\]: Invalid value: "hard": must/);
    assert.match(error.message, /warn-version\]: Invalid value: "1.2": must be "latest" or "v1.x"/);
    return true;
  });
  assert.deepEqual(await label({ [`${prefix}/enforce`]: 'baseline' }), [
    'existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"',
    'a (and 2 other pods): host namespaces',
    'd: host namespaces, hostPath volumes',
  ]);
});

test('an update is judged only when it brings another image', async (t) => {
  const { api, label, pod } = await open(t);
  await label({ [`${prefix}/enforce`]: 'privileged' });
  await pod(hostNetwork);
  await label({ [`${prefix}/enforce`]: 'baseline' });
  const update = async (change: (pod: Pod) => Pod) => {
    const found = await api.client.get(PodKind, { namespace: 'default', name: 'p' });
    return api.client.update(PodKind, change(structuredClone(found) as Pod));
  };
  await update((found) => ({ ...found, metadata: { ...found.metadata, labels: { a: 'b' } } }));
  await assert.rejects(
    update((found) => ({ ...found, spec: { ...found.spec, containers: [{ name: 'c', image: 'other' }] } })),
    /violates PodSecurity "baseline:latest"|may not change fields/,
  );
});

test('what an operator exempts is not judged', async (t) => {
  const cases = [{ 'exempt-namespaces': 'a, default' }, { 'exempt-users': 'test' }, { 'exempt-runtime-classes': 'vm' }];
  for (const config of cases) {
    const { pod } = await open(t, config);
    assert.deepEqual(await pod({ ...hostNetwork, runtimeClassName: 'vm' }), []);
  }
});
