import { ApiError } from '../../../../api/status.ts';
import type { Upgrade } from '../../strategy.ts';
import { socketTransport, type Transport } from '../transport.ts';

export const isSpdy = ({ headers }: Pick<Upgrade, 'headers'>): boolean => /^spdy\/3\.1$/i.test(headers.upgrade ?? '');

/**
 * Answers a client that asks for SPDY, with the first of its protocols that is one of `supported`; with none where it
 * names none and '' is supported. Throws ApiError 403, as Kubernetes does.
 */
export function acceptSpdy(upgrade: Upgrade, supported: readonly string[]): { protocol: string; transport: Transport } {
  const { headers, head, socket } = upgrade;
  const header = headers['x-stream-protocol-version'];
  const offered = [header ?? ''].flat().flatMap((each) => each.split(',').map((name) => name.trim()));
  const protocol = offered.find((each) => supported.includes(each));
  if (protocol === undefined) {
    const sides = `client supports [${offered.join(' ')}], server accepts [${supported.join(' ').trim()}]`;
    const message = `unable to upgrade: unable to negotiate protocol: ${sides}`;
    throw new ApiError(403, 'Forbidden', message);
  }
  const chosen = protocol === '' ? '' : `X-Stream-Protocol-Version: ${protocol}\r\n`;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n${chosen}\r\n`);
  return { protocol, transport: socketTransport(socket, head) };
}
