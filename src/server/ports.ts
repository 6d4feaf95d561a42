import { createServer } from 'node:net';
import { listenErrors } from '../observe/errors.ts';
import { loopback } from '../observe/listen.ts';
import { type PortName, type Ports, portDefinitions, portsBy } from './config.ts';

/**
 * Replaces each 0 by a free port, and checks that the others are free, so that a port that is taken is reported at
 * once, with its flag, rather than by a role that dies. Throws PORT_IN_USE.
 */
export async function resolvePorts(ports: Ports, host = loopback): Promise<Ports> {
  const resolved = new Map<PortName, number>();
  const probes = Object.entries(portDefinitions).map(async ([key, { role, flag }]) => {
    const name = key as PortName;
    resolved.set(name, await probe(host, ports[name], role, flag));
  });
  await Promise.all(probes);
  return portsBy((name) => resolved.get(name) ?? 0);
}

function probe(host: string, port: number, role: string, flag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? listenErrors.PORT_IN_USE({ port, role, flag }) : error),
    );
    server.listen(port, host, () => {
      const address = server.address();
      const found = address !== null && typeof address === 'object' ? address.port : port;
      server.close(() => resolve(found));
    });
  });
}
