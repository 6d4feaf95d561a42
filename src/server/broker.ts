/** Assembles the broker: the data path of Eventing, in a process of its own. */
import { join } from 'node:path';
import { startBroker } from '../eventing/index.ts';
import { systemClock } from '../lib/clock.ts';
import { serveObservability } from '../observe/http.ts';
import type { Logger } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Config } from './config.ts';
import { connectToApi } from './connect.ts';
import type { Role } from './role.ts';

export async function start(config: Config, log: Logger): Promise<Role> {
  const metrics = new Metrics('broker');
  let notReady: string | undefined = 'waiting for the API server';
  const observability = await serveObservability({
    port: config.ports.brokerMetrics,
    metrics,
    notReady: () => notReady,
    role: 'broker',
  });
  const client = await connectToApi(join(config.dataDir, 'pki', 'broker.kubeconfig'), log);
  const broker = await startBroker({
    client,
    dir: join(config.dataDir, 'broker'),
    port: config.ports.broker,
    gatewayUrl: `http://127.0.0.1:${config.ports.gateway}`,
    clock: systemClock,
    log,
    metrics,
  });
  notReady = undefined;
  return {
    async stop() {
      observability.close();
      await broker.stop();
    },
  };
}
