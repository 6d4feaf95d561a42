/** Assembles the gateway: the data path of Serving, in a process of its own. */
import { join } from 'node:path';
import { startGateway } from '../gateway/index.ts';
import { systemClock } from '../lib/clock.ts';
import { serveObservability } from '../observe/http.ts';
import type { Logger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import type { Config } from './config.ts';
import { connectToApi } from './connect.ts';
import type { Role } from './role.ts';

export async function start(config: Config, log: Logger): Promise<Role> {
  const metrics = new Metrics('gateway');
  let notReady: string | undefined = 'waiting for the API server';
  const observability = await serveObservability({
    port: config.ports.gatewayMetrics,
    metrics,
    notReady: () => notReady,
    role: 'gateway',
  });
  const client = await connectToApi(join(config.dataDir, 'pki', 'gateway.kubeconfig'), log);
  const gateway = await startGateway({
    client,
    port: config.ports.gateway,
    autoscaler: { socketPath: autoscalerSocket(config.dataDir) },
    id: `gateway-${process.pid}`,
    clock: systemClock,
    log,
    metrics,
  });
  notReady = undefined;
  return {
    async stop() {
      observability.close();
      await gateway.stop();
    },
  };
}
