/** Assembles the control plane: registry, API server, node agent, controllers and autoscaler in their order. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { platformKinds } from '../api/platform.ts';
import { buildControllers, digestsInUse } from '../build/index.ts';
import { openApiServer } from '../cluster/apiserver/index.ts';
import { chooseDriver, startNodeAgent } from '../cluster/node/index.ts';
import { workloadControllers } from '../cluster/workloads/index.ts';
import { eventingAdmission, eventingControllers } from '../eventing/index.ts';
import type { Client } from '../kube/client.ts';
import { runControllers } from '../kube/runner.ts';
import { systemClock } from '../lib/clock.ts';
import { serveObservability } from '../observe/http.ts';
import { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost, RegistryClient, startRegistry } from '../registry/index.ts';
import { servingAdmission, servingControllers, startAutoscaler } from '../serving/index.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import { loopback } from './config.ts';
import type { Role, RoleContext } from './role.ts';
import { exposeQuarantine } from './role-metrics.ts';

export async function start({ config, log, quarantine, sockets }: RoleContext): Promise<Role> {
  const { dataDir, ports } = config;
  const clock = systemClock;
  const metrics = new Metrics('control');
  exposeQuarantine(metrics, quarantine);
  let notReady: string | undefined = 'starting';
  const observability = await serveObservability({
    port: ports.controlMetrics,
    metrics,
    notReady: () => notReady,
    role: 'control',
    log,
  });

  const distribution = await startRegistry({
    dir: folder(dataDir, 'registry'),
    port: ports.registry,
    handle: sockets.registry,
    clock,
    log,
    metrics,
    digestsInUse: () => digestsInUse(api.client),
  });
  const registry = new RegistryClient({ mirrors: { [embeddedRegistryHost]: distribution.url } });

  const ingressUrl = `http://127.0.0.1:${ports.broker}`;
  const api = await openApiServer({
    dataDir,
    clock,
    log,
    metrics,
    kinds: platformKinds,
    admission: [
      ...servingAdmission,
      ...eventingAdmission({ client: () => api.client, ingressUrl: `http://127.0.0.1:${ports.broker}` }),
    ],
    podLogs: { read: (pod, options) => node.podLogs.read(pod, options) },
  });
  const client: Client = api.client;
  const node = await startNodeAgent({
    client,
    clock,
    log,
    metrics,
    dataDir: folder(dataDir, 'node'),
    nodeName: 'local',
    address: loopback,
    driver: chooseDriver().open({ dataDir: folder(dataDir, 'node'), address: loopback, log, clock }),
    registry,
    quarantine,
  });
  await api.listen({ port: ports.api, handle: sockets.api });

  const controllers = await runControllers(
    [
      ...workloadControllers({ rootCa: readFileSync(join(dataDir, 'pki', 'ca.crt'), 'utf8') }),
      ...servingControllers({ registry, domain: config.domain, gatewayPort: ports.gateway }),
      ...buildControllers({ registry, dataDir: folder(dataDir, 'build'), clock, log, metrics, quarantine }),
      ...eventingControllers({
        ingressUrl,
        gatewayUrl: `http://127.0.0.1:${ports.gateway}`,
      }),
    ],
    { client, clock, log, metrics, quarantine },
  );
  const autoscaler = await startAutoscaler({
    client,
    cache: controllers.cache,
    clock,
    log,
    metrics,
    listen: { socketPath: autoscalerSocket(dataDir) },
  });
  notReady = undefined;

  return {
    async stop() {
      notReady = 'stopping';
      observability.close();
      await Promise.all([autoscaler.stop(), controllers.stop()]);
      await node.stop({ stopPods: true });
      await Promise.all([api.stop(), distribution.stop()]);
    },
  };
}

function folder(...parts: [string, ...string[]]): string {
  const path = join(...parts);
  mkdirSync(path, { recursive: true });
  return path;
}
