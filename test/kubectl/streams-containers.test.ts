/** As streams.test.ts, on pods that run in containers, of the very image that the real Kubernetes had. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inOwnNetwork } from '../../src/cluster/network/testing/own-network.ts';
import { until } from '../../src/lib/testing/until.ts';
import { isKubectlThere, kubectlTest } from './cluster.ts';
import { openNodeCluster } from './node-cluster.ts';
import { type Printed, runSession } from './session/session.ts';

const recorded: Record<string, Printed> = JSON.parse(
  readFileSync(fileURLToPath(new URL('fixtures/session.json', import.meta.url)), 'utf8'),
);

if (!isKubectlThere) kubectlTest('a session with pods in containers', async () => {});
else
  inOwnNetwork(import.meta.url, () => {
    const cluster = openNodeCluster({ hasContainers: true });
    kubectlTest(
      'a session prints what it prints on a real Kubernetes, in containers',
      async (t) => {
        const image = await cluster.pushBusybox();
        if (image === undefined) {
          if ('skip' in t) t.skip('LEFT OUT: there is no static busybox');
          return;
        }
        const session = { ...cluster.kubectl('session'), image, podDir: '/tmp', echo: 'nc -ll -p 8080 -e cat' };
        const ours = JSON.parse(JSON.stringify(await runSession(session)).replaceAll(image, 'IMAGE'));
        for (const [step, wanted] of Object.entries(recorded)) {
          assert.deepEqual({ [step]: ours[step] }, { [step]: wanted });
        }
      },
      180_000,
    );

    kubectlTest(
      'a container to look into another sees its processes, and kubectl top shows what both use',
      async () => {
        const image = await cluster.pushBusybox();
        if (image === undefined) return; // LEFT OUT: there is no static busybox; the session above says so.
        const { environment, kubectl, dir } = cluster.kubectl('target');
        const run = async (...args: string[]) =>
          (await promisify(execFile)(kubectl, args, { env: environment })).stdout;
        const container = { name: 'main', image, command: ['sh', '-c', 'while :; do sleep 4321; done'] };
        const spec = { terminationGracePeriodSeconds: 1, containers: [container] };
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'seen' }, spec };
        writeFileSync(join(dir, 'pod.json'), JSON.stringify(pod));
        await run('apply', '-f', join(dir, 'pod.json'));
        await run('wait', '--for=condition=Ready', 'pod/seen', '--timeout=30s');
        const debug = ['debug', 'seen', `--image=${image}`, '--profile=general', '-c'];
        await run(...debug, 'sees', '--target=main', '--', 'sh', '-c', 'ps; sleep 100');
        await run(...debug, 'blind', '--', 'sh', '-c', 'ps; sleep 100');
        await until(async () => /sleep 4321/.test(await run('logs', 'seen', '-c', 'sees').catch(() => '')));
        const blind = await until(async () => run('logs', 'seen', '-c', 'blind').catch(() => ''));
        assert.doesNotMatch(blind, /sleep 4321/);
        const top = await run('top', 'pod', 'seen', '--containers');
        for (const name of ['main', 'sees', 'blind'])
          assert.match(top, new RegExp(`^seen +${name} +\\d+m +\\d+Mi`, 'm'));
        assert.match(await run('top', 'node'), /^local +\d+m +\d+% +\d+Mi/m);
        await run('delete', 'pod', 'seen', '--now');
      },
    );
  });
