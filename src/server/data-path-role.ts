import type { Client } from '../kube/client.ts';
import { serveObservability } from '../observe/http.ts';
import { Metrics } from '../observe/metrics.ts';
import { exposeQuarantine } from './role-metrics.ts';
import type { Role, RoleContext } from './roles.ts';
import { substrateOf } from './substrate.ts';

export interface DataPathParts {
  /** With the role's own credentials. */
  client: Client;
  metrics: Metrics;
}

/** What the roles beside the control plane share: metrics, readiness, and an API client with a name of its own. */
export async function startDataPathRole(
  name: 'gateway' | 'broker' | 'network',
  { config, log, quarantine }: RoleContext,
  start: (parts: DataPathParts) => Promise<{ stop(): Promise<void> }>,
): Promise<Role> {
  const metrics = new Metrics(name);
  exposeQuarantine(metrics, quarantine);
  let notReady: string | undefined = 'waiting for the API server';
  const observability = await serveObservability({
    host: config.bindAddress,
    port: config.ports[`${name}Metrics`],
    metrics,
    notReady: () => notReady,
    role: name,
    log,
  });
  const client = await substrateOf(config).connect(config, name, log);
  const running = await start({ client, metrics });
  notReady = undefined;
  return {
    async stop() {
      observability.close();
      await running.stop();
    },
  };
}
