import { ClientConnection } from './http1/client-connection.ts';
import { IdleConnections } from './http1/idle-connections.ts';
import { turnAway } from './http1/reply-text.ts';
import { Http2Sessions } from './http2/sessions.ts';
import type { Protocols } from './sides.ts';

/** What the gateway speaks to clients and to pods: a new protocol is a folder, and a line here for each side. */
export const protocols: Protocols = {
  downstream: (context, socket) => new ClientConnection(context, socket),
  turnAway,
  announced: {},
  upstream: {
    http1: (context, endpoint) => new IdleConnections(context, endpoint),
    h2c: (context, endpoint) => new Http2Sessions(context, endpoint),
  },
};
