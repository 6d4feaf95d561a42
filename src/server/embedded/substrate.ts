/** The embedded Kubernetes: API server, node agent and workload controllers in this process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiServer } from '../../cluster/apiserver/index.ts';
import { chooseDriver, startNodeAgent } from '../../cluster/node/index.ts';
import { workloadControllers } from '../../cluster/workloads/index.ts';
import { loopback } from '../../observe/listen.ts';
import { namespacesOf, type Substrate, type SubstrateOptions } from '../substrate.ts';

export async function open(options: SubstrateOptions): Promise<Substrate> {
  const { clock, config, features, folder, log, metrics, quarantine, registry, settings, sockets } = options;
  const { bindAddress, dataDir, ports } = config;
  const api = await openApiServer({
    dataDir,
    clock,
    log,
    metrics,
    kinds: features.flatMap((feature) => feature.kinds),
    namespaces: namespacesOf(features),
    admission: features.flatMap((feature) => feature.admission?.({ client: () => api.client, settings }) ?? []),
    podLogs: { read: (pod, selection) => node.podLogs.read(pod, selection) },
  });
  const { client } = api;
  const nodeDir = folder('node');
  const node = await startNodeAgent({
    client,
    clock,
    log,
    metrics,
    dataDir: nodeDir,
    nodeName: 'local',
    address: loopback,
    driver: chooseDriver().open({ dataDir: nodeDir, address: loopback, log, clock }),
    registry,
    quarantine,
  });
  await api.listen({ host: bindAddress, port: ports.api, handle: sockets.api });
  return {
    client,
    controllers: workloadControllers({ rootCa: readFileSync(join(dataDir, 'pki', 'ca.crt'), 'utf8') }),
    async stop() {
      await node.stop({ stopPods: true });
      await api.stop();
    },
  };
}
