/** A control process in small, for tests that kill it. Arguments: folder, registry's URL, image, number of pods. */
import { isPodReady, PodKind } from '../../../api/core/pod.ts';
import { isAlreadyExists } from '../../../api/status.ts';
import { Informer } from '../../../kube/informer.ts';
import { systemClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import { RegistryClient } from '../../../registry/index.ts';
import { openApiServer } from '../../apiserver/index.ts';
import { ensureDefaultNamespace, startAgent } from './test-node.ts';

const [dir = '', registryUrl = '', image = '', count = '0'] = process.argv.slice(2);
const api = await openApiServer({ dataDir: dir, clock: systemClock, log: silentLogger, kinds: [] });
const { client } = api;
await ensureDefaultNamespace(client);
await startAgent(dir, api, new RegistryClient({ mirrors: { 'registry.localhost': registryUrl } }));
process.stdout.write('started\n');
process.stdin.resume();

const pods = new Informer(client, PodKind, { clock: systemClock, log: silentLogger });
pods.start();
await pods.synced;
for (let i = 0; i < Number(count); i++) {
  const container = {
    name: 'c',
    image,
    ports: [{ containerPort: 8080 }],
    readinessProbe: { tcpSocket: { port: 8080 } },
  };
  try {
    await client.create(PodKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `p${i}`, namespace: 'default' },
      spec: { containers: [container] },
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
const tell = () => {
  const ready = pods.list().filter((pod) => isPodReady(pod) && pod.spec.nodeName !== undefined);
  if (ready.length === Number(count)) process.stdout.write('all ready\n');
};
pods.onChange(tell);
tell();
