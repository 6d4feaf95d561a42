/** Assembles the gateway: the data path of Serving, in a process of its own. */
import { startGateway } from '../gateway/index.ts';
import { systemClock } from '../lib/clock.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import { startDataPathRole } from './data-path-role.ts';
import type { Role, RoleContext } from './role.ts';

export function start(context: RoleContext): Promise<Role> {
  const { config, log, sockets, quarantine } = context;
  return startDataPathRole('gateway', context, ({ client, metrics }) =>
    startGateway({
      client,
      host: config.bindAddress,
      port: config.ports.gateway,
      handle: sockets.gateway,
      autoscaler: { socketPath: autoscalerSocket(config.dataDir) },
      id: `gateway-${process.pid}`,
      // One that is started again takes over what its predecessor said.
      lease: 'gateway',
      clock: systemClock,
      log,
      metrics,
      quarantine,
    }),
  );
}
