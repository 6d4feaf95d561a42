/** What people see: tables, other output formats, watches, waits, descriptions and logs. */
import assert from 'node:assert/strict';
import { type Pod, PodKind } from '../../src/api/core/pod.ts';
import type { PodLogs } from '../../src/cluster/pod-logs.ts';
import { kubectlTest, openKubectlCluster } from './cluster.ts';

const podLogs: PodLogs = {
  async *read(pod, { container, follow, signal, tailLines, timestamps }) {
    const lines = ['one', 'two', 'three'].map((line) => `${timestamps ? '2026-01-02T03:04:05Z ' : ''}${line}\n`);
    yield Buffer.from(lines.slice(tailLines === undefined ? 0 : -tailLines).join(''));
    if (!follow) return;
    yield Buffer.from(`following ${container} of ${pod.metadata.name}\n`);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
};
const cluster = openKubectlCluster({ podLogs });
const { ok, okWith, run } = cluster;

const pod = (name: string, containers = ['main']): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: name } },
  spec: { containers: containers.map((container) => ({ name: container, image: 'registry.localhost/a/b:1' })) },
});

async function setStatus(name: string, status: NonNullable<Pod['status']>): Promise<void> {
  const patch = { type: 'merge' as const, patch: { status } };
  await cluster.api.client.patch(PodKind, { namespace: 'default', name }, patch, 'status');
}

const running: NonNullable<Pod['status']> = {
  phase: 'Running',
  podIP: '127.0.0.1',
  conditions: [{ type: 'Ready', status: 'True' }],
  containerStatuses: [
    {
      name: 'main',
      image: 'registry.localhost/a/b:1',
      imageID: '',
      ready: true,
      restartCount: 2,
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
    },
  ],
};

kubectlTest('get pods shows readiness, status, restarts and age; -o wide adds address and node', async () => {
  await okWith(pod('shown'), 'apply');
  await setStatus('shown', running);
  assert.match(
    await ok('get', 'pods', 'shown'),
    /^NAME +READY +STATUS +RESTARTS +AGE\nshown +1\/1 +Running +2 +\d+s\n$/,
  );
  assert.match(await ok('get', 'pods', 'shown', '-o', 'wide'), /AGE +IP +NODE .*\n.* 127\.0\.0\.1 +<none>/);
});

kubectlTest('get shows a table of all namespaces, of several kinds, of labels, and of a category', async () => {
  await okWith(pod('listed'), 'apply');
  assert.match(await ok('get', 'pods', '-A'), /^NAMESPACE +NAME +READY.*\n(.*\n)*default +listed +0\/1 +Pending/);
  const both = await ok('get', 'pods,namespaces');
  assert.match(both, /pod\/listed/);
  assert.match(both, /namespace\/default +Active/);
  assert.match(await ok('get', 'pods', 'listed', '-L', 'app', '--show-labels'), /APP +LABELS\n.*listed +app=listed/);
  assert.match(await ok('get', 'all'), /^pod\/listed /m);
  assert.match(await ok('get', 'pods', '--no-headers', 'listed'), /^listed /);
});

kubectlTest('get prints YAML, JSON, names, JSONPath, templates and custom columns', async () => {
  await okWith(pod('printed'), 'apply');
  assert.match(await ok('get', 'pod', 'printed', '-o', 'yaml'), /^apiVersion: v1\nkind: Pod\n/);
  const list = JSON.parse(await ok('get', 'pods', '-o', 'json'));
  assert.equal(list.kind, 'List');
  assert.ok(list.items.every((item: Pod) => item.kind === 'Pod' && item.apiVersion === 'v1'));
  assert.equal(await ok('get', 'pod', 'printed', '-o', 'name'), 'pod/printed\n');
  assert.equal(await ok('get', 'pod', 'printed', '-o', 'jsonpath={.spec.containers[0].name}'), 'main');
  assert.equal(await ok('get', 'pod', 'printed', '-o', 'go-template={{.metadata.name}}'), 'printed');
  assert.match(await ok('get', 'pods', '-o', 'custom-columns=N:.metadata.name'), /^N\n(.*\n)*printed\n/);
});

kubectlTest('get --sort-by sorts, --field-selector selects, and --chunk-size reads pages', async () => {
  const namespace = ['-n', 'sorted'];
  await ok('create', 'namespace', 'sorted');
  for (const [name, order] of [
    ['a', '3'],
    ['b', '1'],
    ['c', '2'],
  ]) {
    await ok('create', 'configmap', `${name}`, `--from-literal=order=${order}`, ...namespace);
  }
  const sorted = await ok('get', 'cm', '--sort-by=.data.order', '--no-headers', ...namespace);
  assert.deepEqual(sorted.match(/^[abc]\b/gm), ['b', 'c', 'a']);
  const selected = await ok('get', 'cm', '--field-selector=metadata.name=b', '-o', 'name', ...namespace);
  assert.equal(selected, 'configmap/b\n');
  const paged = await ok('get', 'cm', '--chunk-size=1', '-o', 'name', ...namespace);
  assert.match(paged, /configmap\/a\nconfigmap\/b\nconfigmap\/c\n/);
});

kubectlTest('get -w prints changes as they come', async (t) => {
  await okWith(pod('watched'), 'apply');
  const watching = cluster.start(t, 'get', 'pods', 'watched', '-w');
  await watching.until(/watched +0\/1 +Pending/);
  await setStatus('watched', running);
  await watching.until(/watched +1\/1 +Running/);
});

kubectlTest('wait waits for conditions, fields and creation', async (t) => {
  await okWith(pod('awaited'), 'apply');
  const late = await run('wait', '--for=condition=Ready', 'pod/awaited', '--timeout=0');
  assert.equal(late.code, 1);
  const condition = cluster.start(t, 'wait', '--for=condition=Ready', 'pod/awaited', '--timeout=30s');
  const field = cluster.start(t, 'wait', '--for=jsonpath={.status.podIP}=127.0.0.1', 'pod/awaited', '--timeout=30s');
  const watch = cluster.start(t, 'get', 'pods', 'awaited', '-w');
  await watch.until(/Pending/);
  await setStatus('awaited', running);
  await condition.until(/pod\/awaited condition met/);
  await field.until(/pod\/awaited condition met/);
});

kubectlTest('describe shows an object and its events', async () => {
  await okWith(pod('described'), 'apply');
  const uid = await ok('get', 'pod', 'described', '-o', 'jsonpath={.metadata.uid}');
  const involvedObject = { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'described', uid };
  await okWith(
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'described.1', namespace: 'default' },
      involvedObject,
      reason: 'Pulled',
      message: 'took the image from the registry',
      type: 'Normal',
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      count: 1,
    },
    'create',
  );
  assert.match(await ok('describe', 'pod', 'described'), /Events:\n(.*\n)+.*Normal +Pulled .*took the image/);
  assert.match(await ok('get', 'events'), /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.* Pulled +pod\/described +took/);
  assert.match(await ok('events', '--for=pod/described'), /Pulled/);
});

kubectlTest('logs prints, tails, stamps and follows', async (t) => {
  await okWith(pod('logging'), 'apply');
  assert.equal(await ok('logs', 'logging'), 'one\ntwo\nthree\n');
  assert.equal(await ok('logs', 'logging', '--tail=1', '--timestamps'), '2026-01-02T03:04:05Z three\n');
  await cluster.start(t, 'logs', '-f', 'logging', '-c', 'main').until(/following main of logging/);
  await okWith(pod('pair', ['first', 'second']), 'apply');
  assert.equal(await ok('logs', 'pair', '-c', 'second', '--tail=1'), 'three\n');
  assert.match((await run('logs', 'pair', '-c', 'third')).stderr, /container third is not valid for pod pair/);
});

kubectlTest('exec in a pod that no node has says so', async () => {
  await okWith(pod('executing'), 'apply');
  await setStatus('executing', running);
  const { code, stderr } = await run('exec', 'executing', '--', 'ls');
  assert.equal(code, 1);
  assert.match(stderr, /pod executing does not have a host assigned/);
});
