/** Assembles the control plane: registry, substrate and features in their order. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { serviceAccount } from '../api/user.ts';
import type { Feature } from '../feature/feature.ts';
import { startFeatures } from '../feature/start.ts';
import { systemClock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { serveObservability } from '../observe/http.ts';
import { urlOf } from '../observe/listen.ts';
import { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost, RegistryClient, userCredentials } from '../registry/index.ts';
import { startRegistry } from '../registry/server/registry.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import type { Config } from './config.ts';
import { digestsInUse } from './digests-in-use.ts';
import { features } from './features.ts';
import { exposeQuarantine } from './role-metrics.ts';
import type { Role, RoleContext } from './roles.ts';
import { substrateOf } from './substrate.ts';

export const start = (context: RoleContext): Promise<Role> => startControlPlane(context, features);

export async function startControlPlane(context: RoleContext, features: readonly Feature[]): Promise<Role> {
  const started = new AsyncDisposableStack();
  try {
    await startParts(context, features, started);
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
  return { stop: () => started.disposeAsync() };
}

/** What was started is put on `started`, and stopped in the opposite order. */
async function startParts(context: RoleContext, features: readonly Feature[], started: AsyncDisposableStack) {
  const { config, log, quarantine, sockets } = context;
  const { bindAddress: host, dataDir, ports } = config;
  const clock = systemClock;
  const metrics = new Metrics('control');
  exposeQuarantine(metrics, quarantine);
  let notReady: string | undefined = 'starting';
  const observability = await serveObservability({
    host,
    port: ports.controlMetrics,
    metrics,
    notReady: () => notReady,
    role: 'control',
    log,
  });
  started.defer(() => {
    observability.close();
  });

  const folder = folderIn(dataDir);
  const distribution = await startRegistry({
    dir: folder('registry'),
    host,
    port: ports.registry,
    handle: sockets.registry,
    clock,
    log,
    metrics,
    digestsInUse: () => digestsInUse(substrate.clientFor(registryUser)),
  });
  started.defer(() => distribution.stop());
  const registry = new RegistryClient({
    mirrors: { [embeddedRegistryHost]: distribution.url },
    plainHttpHosts: config.plainHttpRegistries ?? [],
    auth: async (host, name) => {
      const found = userCredentials({ host, name }).catch((error) => {
        log.warn(
          { reason: messageOf(error) },
          "the user's Docker configuration cannot be used: registries are asked as nobody",
        );
        return [];
      });
      return (await found)[0];
    },
  });
  const { brokerUrl } = await substrateOf(config).inside(config, log);
  const parts = { clock, metrics, registry, settings: settingsOf(config, brokerUrl), folder };
  const substrate = await substrateOf(config).open({ ...context, ...parts, features });
  started.defer(() => substrate.stop());
  const shared = { config: substrate.config, log, quarantine, ...parts };
  const running = await substrate.lead((clients) =>
    startFeatures(features, { ...shared, ...clients }, substrate.controllers),
  );
  started.defer(() => running.stop());
  notReady = undefined;
  started.defer(() => {
    notReady = 'stopping';
  });
}

/** As whom the registry looks up which images are in use. */
const registryUser = serviceAccount('kittiwake-system', 'registry');

function settingsOf({ bindAddress, dataDir, domain, ports }: Config, brokerUrl: string) {
  return {
    domain,
    gatewayPort: ports.gateway,
    gatewayUrl: urlOf(ports.gateway, bindAddress),
    brokerUrl,
    autoscaler: { socketPath: autoscalerSocket(dataDir) },
  };
}

const folderIn =
  (dataDir: string) =>
  (name: string): string => {
    const path = join(dataDir, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
