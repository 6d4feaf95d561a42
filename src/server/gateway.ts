/** Assembles the gateway: the data path of Serving, in a process of its own. */
import { hostname } from 'node:os';
import { startGateway } from '../gateway/index.ts';
import { systemClock } from '../lib/clock.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import { startDataPathRole } from './data-path-role.ts';
import type { Role, RoleContext } from './roles.ts';
import { substrateOf } from './substrate.ts';

export function start(context: RoleContext): Promise<Role> {
  const { config, log, sockets, quarantine } = context;
  const name = gatewayName(hostname(), config.ports.gateway);
  return startDataPathRole('gateway', context, async ({ client, metrics }) => {
    const { isInside } = await substrateOf(config).inside(config, log);
    return await startGateway({
      client,
      host: config.bindAddress,
      port: config.ports.gateway,
      handle: sockets.gateway,
      autoscaler: { socketPath: autoscalerSocket(config.dataDir) },
      id: `${name}-${process.pid}`,
      lease: name,
      clock: systemClock,
      log,
      metrics,
      quarantine,
      isInside,
    });
  });
}

/**
 * Tells a gateway from those of other machines, which may share its cluster. One that is started again takes over what
 * its predecessor said by this name.
 */
export function gatewayName(host: string, port: number): string {
  return `gateway-${host
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, 200)}-${port}`;
}
