import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CoreServiceKind } from '../../api/core/service.ts';
import { EndpointSliceKind, serviceNameLabel } from '../../api/discovery/endpoint-slice.ts';
import { systemClock as clock } from '../../lib/clock.ts';
import { afterwards, type Scope } from '../../lib/testing/afterwards.ts';
import { temporaryFolder } from '../../lib/testing/temporary-folder.ts';
import { until } from '../../lib/testing/until.ts';
import { silentLogger as log } from '../../observe/log.ts';
import { type ApiServer, openApiServer } from '../apiserver/index.ts';
import { inOwnNetwork } from './testing/own-network.ts';
import { shell, testPlatform, testPod, traces } from './testing/test-platform.ts';
import { testProgram } from './testing/test-pod.ts';

const program = fileURLToPath(new URL('testing/role-process.ts', import.meta.url));

function role(t: Scope, kubeconfigPath: string, dataDir: string): ChildProcess {
  const child = spawn(process.execPath, [program, kubeconfigPath, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  afterwards(t, async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  return child;
}

const isReady = (child: ChildProcess) => once(child.stdout ?? child, 'data');

async function service(api: ApiServer, name: string, endpoint: string): Promise<string> {
  const made = await api.client.create(CoreServiceKind, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ port: 80, protocol: 'TCP' }] },
  });
  await api.client.create(EndpointSliceKind, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'default', labels: { [serviceNameLabel]: name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [endpoint] }],
    ports: [{ name: '', port: 80, protocol: 'TCP' }],
  });
  return made.spec.clusterIP ?? '';
}

inOwnNetwork(import.meta.url, () => {
  test('the role may be killed at any moment: addresses go on, and what it missed comes with the next', async (t) => {
    const dataDir = temporaryFolder(t);
    const platform = testPlatform(t, { dataDir });
    const api = await openApiServer({ dataDir, clock, log, kinds: [] });
    afterwards(t, () => api.stop());
    const { kubeconfigPath } = await api.listen({ port: 0 });
    const pod = await testPod(t, platform, 'a');
    const host = testProgram(t, 'host');
    let current = role(t, kubeconfigPath, dataDir);
    await isReady(current);
    const steady = await service(api, 'steady', pod.ip);
    await until(() => host.ask(steady, 80, { limitMs: 300 }).catch(() => undefined));
    let isOver = false;
    let asked = 0;
    const asking = (async () => {
      for (; !isOver; asked++) assert.match(await host.ask(steady, 80, { limitMs: 5_000 }), /^a /);
    })();
    const made: string[] = [];
    for (let round = 0; round < 4; round++) {
      const next = Array.from({ length: 10 }, (_, i) => service(api, `s-${round}-${i}`, pod.ip));
      // Some of these are in the kernel by then, and some are not.
      await next[round * 3];
      current.kill('SIGKILL');
      await once(current, 'exit');
      made.push(...(await Promise.all(next)));
      current = role(t, kubeconfigPath, dataDir);
      await isReady(current);
    }
    for (const ip of made)
      await until(() => host.ask(ip, 80, { limitMs: 300 }).catch(() => undefined), `${ip} answers`);
    isOver = true;
    await asking;
    assert.ok(asked > 0);
    await platform.network.detach(pod.pod.uid);
    current.kill('SIGTERM');
    assert.deepEqual(await once(current, 'exit'), [0, null]);
    assert.deepEqual(traces(), []);
    assert.equal(shell('ls /run/kittiwake/ranges'), '');
  });

  test('pods that are left keep their network when the role stops', async (t) => {
    const dataDir = temporaryFolder(t);
    const platform = testPlatform(t, { dataDir });
    const api = await openApiServer({ dataDir, clock, log, kinds: [] });
    afterwards(t, () => api.stop());
    const { kubeconfigPath } = await api.listen({ port: 0 });
    const pod = await testPod(t, platform, 'a');
    const current = role(t, kubeconfigPath, dataDir);
    await isReady(current);
    current.kill('SIGTERM');
    await once(current, 'exit');
    assert.match(await testProgram(t, 'host').ask(pod.ip, 80), /^a /);
  });
});
