import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConfigMap, ConfigMapKind } from '../api/core/config-map.ts';
import { NamespaceKind } from '../api/core/namespace.ts';
import { platformKinds } from '../api/platform.ts';
import { type Service, ServiceKind } from '../api/serving/service.ts';
import { ApiError } from '../api/status.ts';
import { type Greeting, GreetingKind, greetings } from '../feature/testing/greetings.ts';
import { httpClient } from '../kube/http/index.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { patienceMs } from '../lib/testing/patience.ts';
import { loopback } from '../observe/listen.ts';
import { silentLogger } from '../observe/log.ts';
import { defaultConfig, portsBy } from './config.ts';
import { startControlPlane } from './control.ts';
import { digestsInUse } from './digests-in-use.ts';
import { features } from './features.ts';

const greeting = (name: string, to: string): Greeting => ({
  apiVersion: 'toys.example.dev/v1',
  kind: 'Greeting',
  metadata: { name, namespace: 'default' },
  spec: { to },
});

test('a feature in the list has its kinds served, and its admission, controllers and ConfigMaps', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-control-'));
  mkdirSync(join(dataDir, 'run'));
  // Linux has all of 127/8.
  const bindAddress = process.platform === 'linux' ? '127.0.0.2' : loopback;
  const config = { ...defaultConfig(), dataDir, ports: portsBy(() => 0), bindAddress };
  const context = { config, log: silentLogger, quarantine: new Quarantine(), sockets: {}, end: assert.fail };
  const role = await startControlPlane(context, [...features, greetings]);
  t.after(async () => {
    await role.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  assert.match(readFileSync(join(dataDir, 'kubeconfig'), 'utf8'), new RegExp(`https://${bindAddress}:`));
  const client = httpClient({ kubeconfigPath: join(dataDir, 'kubeconfig') });

  assert.ok(await client.get(NamespaceKind, { name: 'toys' }));
  const gateway = httpClient({ kubeconfigPath: join(dataDir, 'pki', 'gateway.kubeconfig') });
  assert.ok(await gateway.get(NamespaceKind, { name: 'toys' }), 'a role has credentials of its own');
  await client.create(GreetingKind, greeting('ada', '  Ada '));
  const signal = AbortSignal.timeout(patienceMs);
  let text: string | undefined;
  for await (const event of client.watch(GreetingKind, { signal })) {
    text = event.type === 'BOOKMARK' ? text : event.object.status?.text;
    if (text !== undefined) break;
  }
  assert.equal(text, 'Hello, Ada!');
  const refusal = (error: unknown) => error instanceof ApiError && error.message.includes('somebody must be greeted');
  await assert.rejects(client.create(GreetingKind, greeting('nobody', ' ')), refusal);

  const service = (name: string): Service => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { template: { spec: { containers: [{ name: '', image: 'example.com/web' }] } } },
  });
  const timeoutOf = async (name: string) =>
    (await client.create(ServiceKind, service(name))).spec.template?.spec?.timeoutSeconds;
  assert.equal(await timeoutOf('before'), 300);
  const metadata = { name: 'config-defaults', namespace: 'knative-serving' };
  const defaults = (seconds: string): ConfigMap => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap' as const, metadata },
    data: { 'revision-timeout-seconds': seconds },
  });
  await assert.rejects(
    client.create(ConfigMapKind, defaults('soon')),
    /revision-timeout-seconds is "soon": expected a/,
  );
  await client.create(ConfigMapKind, defaults('120'));
  for (let i = 0; (await timeoutOf(`after-${i}`)) !== 120; i++) signal.throwIfAborted();
  const before = await client.get(ServiceKind, { name: 'before', namespace: 'default' });
  assert.equal(before?.spec.template?.spec?.timeoutSeconds, 300, 'what is there stays as it is');

  const digest = `sha256:${'e'.repeat(64)}`;
  await client.create(GreetingKind, greeting('image', `example.com/web@${digest}`));
  assert.ok((await digestsInUse(client)).has(digest), 'a digest that only a kind of a feature names is in use');
});

test('the features of the product bring its kinds, each once', () => {
  const kinds = features.flatMap((feature) => feature.kinds);
  assert.deepEqual(new Set(kinds), new Set(platformKinds));
  assert.equal(kinds.length, platformKinds.length);
});
