/** Assembles the broker: the data path of Eventing, in a process of its own. */
import { join } from 'node:path';
import { startBroker } from '../eventing/broker/index.ts'; // Not the whole of Eventing: the controllers run elsewhere.
import { systemClock } from '../lib/clock.ts';
import type { Logger } from '../observe/log.ts';
import type { Config } from './config.ts';
import { startDataPathRole } from './data-path-role.ts';
import type { Role } from './role.ts';

export function start(config: Config, log: Logger): Promise<Role> {
  return startDataPathRole('broker', config, log, ({ client, metrics }) =>
    startBroker({
      client,
      dir: join(config.dataDir, 'broker'),
      port: config.ports.broker,
      gatewayUrl: `http://127.0.0.1:${config.ports.gateway}`,
      clock: systemClock,
      log,
      metrics,
    }),
  );
}
