import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CustomResourceDefinitionKind } from '../api/apiextensions/custom-resource-definition.ts';
import { openApi } from '../cluster/apiserver/testing/open-api.ts';
import { until } from '../lib/testing/until.ts';
import { readAddresses } from './addresses.ts';
import { checkBindAddress, checkDomain, defaultConfig, portsBy } from './config.ts';
import { bindSocket } from './lent-sockets.ts';
import { resolvePorts } from './ports.ts';
import { type SupervisorEvent, startPlatform } from './supervisor.ts';

const unexpected = (event: SupervisorEvent) => assert.fail(JSON.stringify(event));

test('what other machines can reach is open to all, so it must be asked for in as many words', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-bind-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const dataDir = join(dir, 'data');
  const open = { ...defaultConfig(), dataDir, ports: portsBy(() => 0), bindAddress: '0.0.0.0' };
  await assert.rejects(startPlatform(open, unexpected), {
    code: 'BIND_ADDRESS_OPEN',
    message: /0\.0\.0\.0.*--without-c/,
  });
  assert.ok(!existsSync(dataDir), 'nothing is made');

  for (const bindAddress of ['127.0.0.1', '127.8.0.2', '::1']) checkBindAddress({ bindAddress, isOpen: false });
  for (const bindAddress of ['::', '192.0.2.7', 'fe80::1', '::ffff:127.0.0.1']) {
    assert.throws(() => checkBindAddress({ bindAddress, isOpen: false }), { code: 'BIND_ADDRESS_OPEN' }, bindAddress);
    checkBindAddress({ bindAddress, isOpen: true });
  }
  for (const bindAddress of ['', 'localhost', '127.0.0.1:80', '127.1']) {
    assert.throws(
      () => checkBindAddress({ bindAddress, isOpen: true }),
      /^Error: --bind-address is ".*": an IP address/,
    );
  }
});

test('a domain that no Service could have a host in is refused before anything is made', async () => {
  for (const domain of ['localhost', 'apps.example.com']) checkDomain({ domain });
  for (const domain of ['', 'a b', '*.example.com', 'a..b', 'Example.com', '.', 'x'.repeat(254), 'a\r\nb']) {
    assert.throws(() => checkDomain({ domain }), /^Error: --domain is ".*": a lowercase RFC 1123/, domain);
  }
  const nowhere = { ...defaultConfig(), dataDir: '/nonexistent', domain: '' };
  await assert.rejects(startPlatform(nowhere, unexpected), /--domain is ""/);
});

test('a registry to ask without TLS must be a host', async () => {
  for (const host of ['http://reg.example', 'reg.example/team', 'name', '']) {
    const config = { ...defaultConfig(), dataDir: '/nonexistent', plainHttpRegistries: ['reg.example:5000', host] };
    await assert.rejects(startPlatform(config, unexpected), /^Error: --plain-http-registry is ".*": HOST or HOST:PORT/);
  }
});

test('a kubeconfig that is not there is named before anything is made', async () => {
  const kubeconfig = join(tmpdir(), 'absent', 'kubeconfig');
  const nowhere = { ...defaultConfig(), dataDir: '/nonexistent', substrate: 'cluster' as const, kubeconfig };
  await assert.rejects(startPlatform(nowhere, unexpected), /^Error: --kubeconfig: there is no file .*absent/);
});

test('on a cluster, the platform is the same, and its API is the cluster’s', async (t) => {
  const { api, dataDir: clusterDir } = await openApi(t);
  const { url, kubeconfigPath } = await api.listen({ port: 0 });
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-up-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const config = { ...defaultConfig(), dataDir, ports: portsBy(() => 0), kubeconfig: kubeconfigPath };
  const { signal } = new AbortController();
  const platform = await startPlatform({ ...config, substrate: 'cluster' }, unexpected, signal);
  try {
    assert.equal(getEventListeners(signal, 'abort').length, 0, 'it has no effect any more');
    const { addresses } = platform;
    assert.equal(addresses.apiUrl, url);
    assert.equal(addresses.kubeconfig, join(clusterDir, 'kubeconfig'));
    assert.deepEqual(readAddresses(dataDir)?.apiUrl, url);
    assert.ok(await api.client.get(CustomResourceDefinitionKind, { name: 'services.serving.knative.dev' }));
    const { status } = await fetch(addresses.gatewayUrl);
    assert.equal(status, 404);
    assert.ok(!existsSync(join(dataDir, 'cluster')), 'none of its own');
  } finally {
    await platform.stop();
  }
});

/** A signal that has `work` done at the moment in which it is looked at, between the ports and the processes. */
function signalThat(work: (abort: AbortController) => void): AbortSignal {
  const abort = new AbortController();
  return Object.assign(abort.signal, { throwIfAborted: () => work(abort) });
}

test('a start that is given up while its roles start is one that has failed', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-up-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const config = { ...defaultConfig(), dataDir, ports: portsBy(() => 0) };
  const signal = signalThat((abort) => queueMicrotask(() => abort.abort(new Error('given up'))));
  await assert.rejects(
    startPlatform(config, () => {}, signal),
    /given up/,
  );
  assert.equal(readAddresses(dataDir), undefined);
});

test('a start that fails at one socket holds the others no longer', {
  skip: !existsSync('/proc/self/fd'),
}, async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-up-'));
  const server = createServer();
  t.after(() => {
    server.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const ports = await resolvePorts(portsBy(() => 0));
  const signal = signalThat(() => server.listen(bindSocket(ports.broker, 'other', '--other').handle));
  const before = socketCount();
  await assert.rejects(startPlatform({ ...defaultConfig(), dataDir, ports }, unexpected, signal), {
    code: 'PORT_IN_USE',
  });
  await until(() => socketCount() <= before + 1, 'the sockets are closed, but for the one that was in the way');
});

function socketCount(): number {
  const folder = '/proc/self/fd';
  const isSocket = (fd: string) => {
    try {
      return readlinkSync(join(folder, fd)).startsWith('socket:');
    } catch {
      return false; // It is the folder's own, and closed by now.
    }
  };
  return readdirSync(folder).filter(isSocket).length;
}
