/** What kubectl learns of the server before it does anything. */
import assert from 'node:assert/strict';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

const cluster = openKubectlCluster();

kubectlTest('version tells the version of the server', async () => {
  const { serverVersion } = JSON.parse(await cluster.ok('version', '-o', 'json'));
  assert.match(serverVersion.gitVersion, /^v1\.34\.\d+\+kittiwake/);
});

kubectlTest('api-resources lists built-in and platform kinds with short names, groups and scope', async () => {
  const text = await cluster.ok('api-resources');
  assert.match(text, /^deployments +deploy +apps\/v1 +true +Deployment$/m);
  assert.match(text, /^services +kservice,ksvc +serving\.knative\.dev\/v1 +true +Service$/m);
  assert.match(text, /^namespaces +ns +v1 +false +Namespace$/m);
});

kubectlTest('api-versions lists the group-versions', async () => {
  const versions = (await cluster.ok('api-versions')).trim().split('\n');
  for (const version of ['v1', 'apps/v1', 'serving.knative.dev/v1', 'eventing.knative.dev/v1']) {
    assert.ok(versions.includes(version), version);
  }
});

kubectlTest('explain describes the fields of built-in and platform kinds', async () => {
  const strategy = await cluster.ok('explain', 'deployment.spec.strategy');
  assert.match(strategy, /FIELD: strategy <Object>/);
  assert.match(strategy, /rollingUpdate\s+<Object>/);
  const service = await cluster.ok('explain', 'ksvc.spec', '--recursive');
  assert.match(service, /percent\s+<integer>/);
  assert.match(await cluster.ok('explain', 'pod.metadata.labels'), /<map\[string\]string>/);
});

kubectlTest('auth can-i and whoami answer for the administrator', async () => {
  assert.equal(await cluster.ok('auth', 'can-i', 'delete', 'pods'), 'yes\n');
  assert.match(await cluster.ok('auth', 'can-i', '--list'), /\*\.\*/);
  const whoami = await cluster.ok('auth', 'whoami');
  assert.match(whoami, /kubernetes-admin/);
  assert.match(whoami, /system:masters/);
});

kubectlTest('cluster-info names the address of the control plane', async () => {
  assert.match(await cluster.ok('cluster-info'), /127\.0\.0\.1/);
});

kubectlTest('a kind that is not served is said to be unknown', async () => {
  const { code, stderr } = await cluster.run('get', 'flowers');
  assert.equal(code, 1);
  assert.match(stderr, /the server doesn't have a resource type "flowers"/);
});
