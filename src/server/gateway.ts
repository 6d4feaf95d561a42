/** Assembles the gateway: the data path of Serving, in a process of its own. */
import { startGateway } from '../gateway/index.ts';
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../observe/log.ts';
import { autoscalerSocket } from './autoscaler-socket.ts';
import type { Config } from './config.ts';
import { startDataPathRole } from './data-path-role.ts';
import type { Role } from './role.ts';

export function start(config: Config, log: Logger): Promise<Role> {
  return startDataPathRole('gateway', config, log, ({ client, metrics }) =>
    startGateway({
      client,
      port: config.ports.gateway,
      autoscaler: { socketPath: autoscalerSocket(config.dataDir) },
      id: `gateway-${process.pid}`,
      clock: systemClock,
      log,
      metrics,
    }),
  );
}
