/** Assembles the broker: the data path of Eventing, in a process of its own. */
import { join } from 'node:path';
import { sqliteBackend } from '../eventing/backends/sqlite/sqlite-backend.ts';
import { startBroker } from '../eventing/broker/index.ts'; // Not the whole of Eventing: the controllers run elsewhere.
import { systemClock } from '../lib/clock.ts';
import { urlOf } from '../observe/listen.ts';
import { startDataPathRole } from './data-path-role.ts';
import type { Role, RoleContext } from './roles.ts';

export function start(context: RoleContext): Promise<Role> {
  const { config, log, quarantine, sockets } = context;
  const dir = join(config.dataDir, 'broker');
  return startDataPathRole('broker', context, ({ client, metrics }) =>
    startBroker({
      client,
      dir,
      backend: sqliteBackend({ dir: join(dir, 'logs'), clock: systemClock }),
      host: config.bindAddress,
      port: config.ports.broker,
      handle: sockets.broker,
      gatewayUrl: urlOf(config.ports.gateway, config.bindAddress),
      clock: systemClock,
      log,
      quarantine,
      metrics,
    }),
  );
}
