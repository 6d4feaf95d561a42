import { createHash } from 'node:crypto';
import { badRequest } from '../../../../api/status.ts';
import type { Upgrade } from '../../strategy.ts';
import { socketTransport, type Transport } from '../transport.ts';
import { closeCodes, frameHead, opcodes, type Piece, readFrames, WebSocketError } from './frames.ts';

/** A WebSocket, as the server has it. Messages come and go in pieces, so that none is ever held as a whole. */
export interface WebSocketConnection {
  /** What the client chose of what it was offered; '' when it named none. */
  protocol: string;
  transport: Transport;
  /** The client's messages, until it closes. Answers pings. Rejects when the connection breaks. */
  pieces(): AsyncGenerator<Piece>;
  /** One message. Resolves when there is room for more. */
  send(opcode: number, ...parts: Buffer[]): Promise<void>;
  /** Says that this side lives, though it may not be reading: a pong need not answer a ping (RFC 6455, 5.5.3). */
  beat(): Promise<void>;
  /** Ends the connection, with one of `closeCodes`. */
  close(code: number): void;
}

const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export const isWebSocket = ({ headers }: Pick<Upgrade, 'headers'>): boolean =>
  /\bwebsocket\b/i.test(headers.upgrade ?? '');

/** Answers the client's handshake with the first of its protocols that is one of `supported`. Throws ApiError 400. */
export function acceptWebSocket(upgrade: Upgrade, supported: readonly string[]): WebSocketConnection {
  const { headers, head, socket } = upgrade;
  const key = headers['sec-websocket-key'];
  if (headers['sec-websocket-version'] !== '13' || typeof key !== 'string' || !/^[A-Za-z0-9+/]{22}==$/.test(key)) {
    throw badRequest('not a WebSocket handshake: Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key are needed');
  }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  const protocol = offered.find((each) => supported.includes(each));
  if (protocol === undefined) {
    const names = supported.filter((each) => each !== '').join(', ');
    throw badRequest(
      `unable to upgrade: the client asks for ${JSON.stringify(offered.join(', '))}, not one of ${names}`,
    );
  }
  const accept = createHash('sha1').update(`${key}${magic}`).digest('base64');
  const chosen = protocol === '' ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`,
  );
  return connectionOver(socketTransport(socket, head), protocol);
}

export function connectionOver(transport: Transport, protocol: string): WebSocketConnection {
  let isClosed = false;
  const send = (opcode: number, ...parts: Buffer[]) => {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return transport.send(frameHead(opcode, length), ...parts);
  };
  const close = (code: number) => {
    if (isClosed || transport.gone.aborted) return;
    isClosed = true;
    send(opcodes.close, Buffer.from([code >> 8, code & 255])).catch(() => {}); // It is gone: that is closed too.
    transport.end();
  };
  return {
    protocol,
    transport,
    send,
    close,
    beat: () => send(opcodes.pong),
    async *pieces() {
      try {
        for await (const frame of readFrames(transport.input)) {
          if (frame.type === 'piece') yield frame;
          else if (frame.type === 'ping') await send(opcodes.pong, frame.bytes);
          else if (frame.type === 'close') break;
        }
        close(closeCodes.normal);
      } catch (error) {
        if (error instanceof WebSocketError) close(error.closeCode);
        throw error;
      }
    },
  };
}
