/** As streams.test.ts, on pods that run in containers, of the very image that the real Kubernetes had. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inOwnNetwork } from '../../src/cluster/network/testing/own-network.ts';
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
  });
