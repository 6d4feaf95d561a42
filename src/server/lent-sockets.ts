import * as net from 'node:net';
import { getSystemErrorName } from 'node:util';
import { listenErrors } from '../observe/errors.ts';
import { loopback } from '../observe/listen.ts';

/** A bound socket, to be lent to one process after another. */
export interface LentSocket {
  port: number;
  /** What travels to a role's process, which listens on it (`net.Server.listen(handle)`). */
  handle: net.Server;
  close(): void;
}

/** Node's own wrapper of a TCP socket, as far as it is used here. */
interface TcpHandle {
  getsockname(out: { port?: number }): number;
  close(): void;
}

/** What node:cluster makes the sockets with that its workers share: bound, and not accepting in this process. */
const createHandle = (
  net as unknown as {
    _createServerHandle: (address: string, port: number, type: 4 | 6, fd: -1, flags: 0) => TcpHandle | number;
  }
)._createServerHandle;

/**
 * Binds `port` (0: any free one) of `host`. As long as it is not closed, clients that connect while no process accepts
 * wait in its backlog: a role that is started again refuses nobody. Throws PORT_IN_USE with `role` and `flag`.
 */
export function bindSocket(port: number, role: string, flag: string, host = loopback): LentSocket {
  const handle = createHandle(host, port, net.isIPv6(host) ? 6 : 4, -1, 0);
  const bound: { port?: number } = {};
  // libuv keeps the error of bind for the next call.
  const errno = typeof handle === 'number' ? handle : handle.getsockname(bound);
  if (typeof handle === 'number' || errno !== 0) {
    if (typeof handle !== 'number') handle.close();
    throw socketError(errno, port, role, flag);
  }
  return { port: bound.port ?? port, handle: handle as unknown as net.Server, close: () => handle.close() };
}

function socketError(errno: number, port: number, role: string, flag: string): Error {
  const code = getSystemErrorName(errno);
  if (code === 'EADDRINUSE') return listenErrors.PORT_IN_USE({ port, role, flag });
  return new Error(`port ${port} for the ${role} cannot be used (${code}): choose another with ${flag}`);
}
