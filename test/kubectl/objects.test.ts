/** Objects of built-in kinds: create, apply, change, read, delete. */
import assert from 'node:assert/strict';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

const cluster = openKubectlCluster({ environment: { KUBE_EDITOR: 'sed -i s/before/after/' } });
const { ok, okWith, run, runWith } = cluster;

const deployment = (name: string, image = 'registry.localhost/a/b:1') => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { app: name } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: {
        containers: [
          { name: 'first', image, ports: [{ containerPort: 8080 }] },
          { name: 'second', image },
        ],
      },
    },
  },
});

const configMap = (name: string, data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});

kubectlTest('create makes namespaces, config maps, secrets, service accounts, deployments and services', async () => {
  assert.equal(await ok('create', 'namespace', 'made'), 'namespace/made created\n');
  await ok('create', 'configmap', 'made', '--from-literal=a=b');
  assert.equal(await ok('get', 'cm', 'made', '-o', 'jsonpath={.data.a}'), 'b');
  await ok('create', 'secret', 'generic', 'made', '--from-literal=key=value');
  assert.equal(await ok('get', 'secret', 'made', '-o', 'jsonpath={.data.key} {.type}'), 'dmFsdWU= Opaque');
  await ok('create', 'serviceaccount', 'made');
  await ok('create', 'deployment', 'made', '--image=nginx', '--replicas=0', '--port=80');
  const path = 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}';
  assert.equal(await ok('get', 'deployment', 'made', '-o', path), '0 80');
  await ok('create', 'service', 'clusterip', 'made', '--tcp=80:8080');
  assert.equal(await ok('get', 'service', 'made', '-o', 'jsonpath={.spec.ports[0].targetPort}'), '8080');
  const again = await run('create', 'configmap', 'made');
  assert.match(again.stderr, /configmaps "made" already exists/);
});

kubectlTest('apply creates, then leaves alone what has not changed, then changes what has', async () => {
  assert.equal(await okWith(deployment('applied'), 'apply'), 'deployment.apps/applied created\n');
  assert.equal(await okWith(deployment('applied'), 'apply'), 'deployment.apps/applied unchanged\n');
  const changed = deployment('applied');
  changed.spec.template.spec.containers.pop();
  changed.spec.replicas = 2;
  assert.equal(await okWith(changed, 'apply'), 'deployment.apps/applied configured\n');
  const path = 'jsonpath={.spec.replicas} {.spec.template.spec.containers[*].name} {.metadata.generation}';
  assert.equal(await ok('get', 'deployment', 'applied', '-o', path), '2 first 2');
});

kubectlTest('apply, diff and create with --dry-run=server change nothing', async () => {
  await okWith(configMap('dry', { a: '1' }), 'apply');
  const version = await ok('get', 'cm', 'dry', '-o', 'jsonpath={.metadata.resourceVersion}');
  const dry = await okWith(configMap('dry', { a: '2' }), 'apply', '--dry-run=server');
  assert.match(dry, /configmap\/dry configured \(server dry run\)/);
  const diff = await runWith(configMap('dry', { a: '2' }), 'diff');
  assert.equal(diff.code, 1, diff.stderr);
  assert.match(diff.stdout, /^-\s+a: "1"\n\+\s+a: "2"$/m);
  await okWith(configMap('never', {}), 'create', '--dry-run=server');
  assert.match((await run('get', 'cm', 'never')).stderr, /configmaps "never" not found/);
  assert.equal(await ok('get', 'cm', 'dry', '-o', 'jsonpath={.metadata.resourceVersion}'), version);
});

kubectlTest('patch takes strategic merge, merge and JSON patches', async () => {
  await okWith(deployment('patched'), 'apply');
  const patch = (type: string, value: unknown) =>
    ok('patch', 'deployment', 'patched', `--type=${type}`, '-p', JSON.stringify(value));
  await patch('strategic', { spec: { template: { spec: { containers: [{ name: 'second', image: 'new:1' }] } } } });
  const images = 'jsonpath={.spec.template.spec.containers[*].image}';
  assert.equal(await ok('get', 'deployment', 'patched', '-o', images), 'registry.localhost/a/b:1 new:1');
  await patch('json', [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'new:2' }]);
  assert.equal(await ok('get', 'deployment', 'patched', '-o', images), 'new:2 new:1');
  await patch('merge', { metadata: { labels: { tier: 'back' } }, spec: { paused: true } });
  const path = 'jsonpath={.metadata.labels.tier} {.spec.paused}';
  assert.equal(await ok('get', 'deployment', 'patched', '-o', path), 'back true');
  await ok('set', 'image', 'deployment/patched', 'first=new:3');
  assert.equal(await ok('get', 'deployment', 'patched', '-o', images), 'new:3 new:1');
});

kubectlTest('label and annotate add, refuse to overwrite, and remove', async () => {
  await okWith(configMap('labelled', {}), 'apply');
  await ok('label', 'cm', 'labelled', 'color=red');
  assert.match((await run('label', 'cm', 'labelled', 'color=blue')).stderr, /already has a value/);
  await ok('label', 'cm', 'labelled', 'color=blue', '--overwrite');
  await ok('annotate', 'cm', 'labelled', 'note=hello');
  const path = 'jsonpath={.metadata.labels.color} {.metadata.annotations.note}';
  assert.equal(await ok('get', 'cm', 'labelled', '-o', path), 'blue hello');
  assert.equal(await ok('get', 'cm', '-l', 'color in (blue)', '-o', 'name'), 'configmap/labelled\n');
  assert.equal(await ok('get', 'cm', '-l', 'color=red', '-o', 'name'), '');
  await ok('label', 'cm', 'labelled', 'color-');
  assert.equal(await ok('get', 'cm', '-l', 'color', '-o', 'name'), '');
});

kubectlTest('replace replaces, and refuses what was read before another change', async () => {
  await okWith(configMap('replaced', { a: '1' }), 'create');
  const read = JSON.parse(await ok('get', 'cm', 'replaced', '-o', 'json'));
  await okWith(configMap('replaced', { b: '2' }), 'replace');
  assert.equal(await ok('get', 'cm', 'replaced', '-o', 'jsonpath={.data}'), '{"b":"2"}');
  const late = await runWith({ ...read, data: { c: '3' } }, 'replace');
  assert.equal(late.code, 1);
  assert.match(late.stderr, /the object has been modified/);
});

kubectlTest('edit changes what the editor changed', async () => {
  await okWith(configMap('edited', { a: 'before' }), 'apply');
  await ok('edit', 'cm', 'edited');
  assert.equal(await ok('get', 'cm', 'edited', '-o', 'jsonpath={.data.a}'), 'after');
});

kubectlTest('scale sets the number of replicas through the subresource', async () => {
  await okWith(deployment('scaled'), 'apply');
  assert.equal(await ok('scale', 'deployment', 'scaled', '--replicas=3'), 'deployment.apps/scaled scaled\n');
  assert.equal(await ok('get', 'deployment', 'scaled', '-o', 'jsonpath={.spec.replicas}'), '3');
  await ok('scale', 'deployment', 'scaled', '--replicas=0', '--current-replicas=3');
  assert.equal(await ok('get', 'deployment', 'scaled', '-o', 'jsonpath={.spec.replicas}'), '0');
  const scale = JSON.parse(await ok('get', 'deployment', 'scaled', '--subresource=scale', '-o', 'json'));
  assert.equal(scale.kind, 'Scale');
});

kubectlTest('delete removes in the background, in the foreground, by label, all, and by force', async () => {
  for (const name of ['d1', 'd2', 'd3', 'd4', 'd5']) {
    await okWith({ ...configMap(name, {}), metadata: { name, labels: { group: name < 'd4' ? 'a' : 'b' } } }, 'apply');
  }
  assert.equal(await ok('delete', 'cm', 'd1'), 'configmap "d1" deleted\n');
  await ok('delete', 'cm', 'd2', '--wait=false');
  await ok('delete', 'cm', '-l', 'group=a');
  await ok('delete', 'cm', 'd4', '--grace-period=0', '--force');
  await ok('delete', 'cm', 'd5', '--cascade=orphan');
  assert.equal(await ok('get', 'cm', '-l', 'group', '-o', 'name'), '');
  assert.match((await run('delete', 'cm', 'd1')).stderr, /configmaps "d1" not found/);
  assert.equal(await ok('delete', 'cm', 'd1', '--ignore-not-found'), '');
});

kubectlTest('a finalizer keeps an object until it is taken off; wait and delete see it go', async (t) => {
  await okWith({ ...configMap('kept', {}), metadata: { name: 'kept', finalizers: ['example.com/keep'] } }, 'apply');
  await ok('delete', 'cm', 'kept', '--wait=false');
  assert.notEqual(await ok('get', 'cm', 'kept', '-o', 'jsonpath={.metadata.deletionTimestamp}'), '');
  const waiting = cluster.start(t, 'wait', '--for=delete', 'cm/kept', '--timeout=30s', '-v=6');
  await waiting.until(/watch=true/);
  await ok('patch', 'cm', 'kept', '--type=json', '-p', '[{"op":"remove","path":"/metadata/finalizers"}]');
  await waiting.until(/configmap\/kept condition met/);
});

kubectlTest(
  'a deletion in the foreground takes the dependents first, in the background after, orphaned not',
  async () => {
    for (const [cascade, isKept] of [
      ['foreground', false],
      ['background', false],
      ['orphan', true],
    ] as const) {
      await okWith(deployment(cascade), 'apply');
      await ok('wait', `--for=jsonpath={.status.replicas}=1`, `deployment/${cascade}`, '--timeout=20s');
      await ok('delete', 'deployment', cascade, `--cascade=${cascade}`, '--timeout=20s');
      const sets = ['replicaset', '-l', `app=${cascade}`];
      if (isKept) assert.match(await ok('get', ...sets, '-o', 'name'), /replicaset/);
      else await ok('wait', '--for=delete', ...sets, '--timeout=20s');
    }
  },
);

kubectlTest('a namespace goes with all that is in it', async () => {
  await ok('create', 'namespace', 'leaving');
  await ok('create', 'configmap', 'inside', '-n', 'leaving');
  await ok('delete', 'namespace', 'leaving', '--timeout=20s');
  assert.match((await run('get', 'configmap', 'inside', '-n', 'leaving')).stderr, /not found/);
  assert.match((await run('get', 'namespace', 'leaving')).stderr, /namespaces "leaving" not found/);
});
