/** From a connection that a client wants upgraded to what runs over it: which protocols there are is known here. */
import { badRequest } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Streams } from '../../pod-streams.ts';
import type { Upgrade } from '../strategy.ts';
import { keepAlive } from './heartbeat.ts';
import {
  type Forwarding,
  forwardChannelProtocols,
  forwardOverChannels,
  forwardOverSpdy,
  forwardProtocol,
  portsOf,
  tunnelProtocol,
  tunnelTransport,
} from './port-forward.ts';
import { serveRemoteCommand, type WantedStreams } from './remote-command.ts';
import { channelClient, channelProtocols } from './remote-command-channels.ts';
import { spdyClient, spdyCommandProtocols } from './remote-command-spdy.ts';
import { acceptSpdy, isSpdy } from './spdy/accept.ts';
import type { Transport } from './transport.ts';
import { acceptWebSocket, isWebSocket } from './websocket/connection.ts';

export interface StreamOptions {
  clock: Clock;
  /** A connection on which nothing moves for so long is ended; 4 h. */
  idleMs?: number | undefined;
}

export const upgradeRequired = () => badRequest('Upgrade request required');

/** Runs a command for a client that asks for a WebSocket or SPDY. Resolves when the connection has ended. */
export async function upgradeToCommand(
  upgrade: Upgrade,
  wanted: WantedStreams,
  command: { verb: 'exec' | 'attach'; start(signal: AbortSignal): Promise<Streams> },
  options: StreamOptions,
): Promise<void> {
  if (isWebSocket(upgrade)) {
    const connection = acceptWebSocket(upgrade, channelProtocols);
    keepAlive(connection.transport, connection.beat, options);
    await serveRemoteCommand(channelClient(connection, wanted), { ...command, ...options });
    return ended(connection.transport);
  }
  if (!isSpdy(upgrade)) throw upgradeRequired();
  const { protocol, transport } = acceptSpdy(upgrade, spdyCommandProtocols);
  const client = await spdyClient(transport, protocol, wanted, options.clock).catch(() => undefined);
  if (!client) return undefined; // It has made no streams: there is nobody to tell.
  keepAlive(transport, () => client.session.beat(), options);
  await serveRemoteCommand(client, { ...command, ...options });
  return ended(transport);
}

/** Forwards connections to a pod. Resolves when the client's connection has ended. */
export async function upgradeToForwarding(
  upgrade: Upgrade,
  forwarding: Forwarding,
  options: StreamOptions,
): Promise<void> {
  if (isSpdy(upgrade)) {
    const { transport } = acceptSpdy(upgrade, [forwardProtocol]);
    const session = forwardOverSpdy(transport, forwarding);
    keepAlive(transport, () => session.beat(), options);
    return ended(transport);
  }
  if (!isWebSocket(upgrade)) throw upgradeRequired();
  const ports = portsOf(upgrade.query);
  const connection = acceptWebSocket(upgrade, [tunnelProtocol, ...(ports ? forwardChannelProtocols : [])]);
  keepAlive(connection.transport, connection.beat, options);
  if (connection.protocol === tunnelProtocol) forwardOverSpdy(tunnelTransport(connection), forwarding);
  else await forwardOverChannels(connection, ports ?? [], forwarding);
  return ended(connection.transport);
}

const ended = ({ gone }: Transport): Promise<void> =>
  new Promise((resolve) => {
    if (gone.aborted) resolve();
    else gone.addEventListener('abort', () => resolve(), { once: true });
  });
