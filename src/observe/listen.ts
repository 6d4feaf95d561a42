import { type AddressInfo, isIPv6, type Server } from 'node:net';
import { listenErrors } from './errors.ts';
import type { Logger } from './log.ts';

/** A bound socket that somebody else keeps open: whatever `net.Server.listen(handle)` takes. */
export type ListenHandle = object;

export interface ListenOptions {
  /** 0: any free one. */
  port: number;
  /** `loopback` unless given. */
  host?: string | undefined;
  /** To listen on instead of `host` and `port`: connections wait in it while processes come and go. */
  handle?: ListenHandle | undefined;
  /** Connections that wait to be accepted; 1,024 unless given. The kernel cuts it down to net.core.somaxconn. */
  backlog?: number;
  /** Whose port it is, and the flag that chooses another, for PORT_IN_USE. */
  role: string;
  flag: string;
  log: Logger;
}

/** Where everything listens that is not told otherwise. */
export const loopback = '127.0.0.1';

const backlogDefault = 1_024;

/** What of a server is needed: those of HTTP/2 are none of net's by their types. */
type Listening = Pick<Server, 'listen' | 'on' | 'once' | 'off' | 'address'>;

/**
 * Listens, and returns the port. Throws PORT_IN_USE. Later on, a connection that cannot be accepted (no memory, no
 * files left) is a line in the log: without a listener for it, it would end the process.
 */
export function listen(server: Listening, options: ListenOptions): Promise<number> {
  const { port, host = loopback, handle, backlog = backlogDefault, role, flag, log } = options;
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      reject(isTaken ? listenErrors.PORT_IN_USE({ port, role, flag }, { cause: error }) : error);
    };
    server.once('error', onError);
    const onListening = () => {
      server.off('error', onError);
      server.on('error', (error) => log.error({ err: error, role }, 'a connection could not be accepted'));
      resolve((server.address() as AddressInfo).port);
    };
    if (handle) server.listen(handle, backlog, onListening);
    else server.listen(port, host, backlog, onListening);
  });
}

/** The URL at which this machine reaches what listens on `host`; who listens everywhere does so on loopback, too. */
export function urlOf(port: number, host = loopback, scheme: 'http' | 'https' = 'http'): string {
  const reached = host === '0.0.0.0' || host === '::' ? loopback : host;
  return `${scheme}://${isIPv6(reached) ? `[${reached}]` : reached}:${port}`;
}
