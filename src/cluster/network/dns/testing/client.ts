/** A client of DNS that shows what it gets. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { framed } from '../ask.ts';
import { types } from '../wire/constants.ts';
import { readMessage } from '../wire/message.ts';
import { nameOf } from '../wire/name.ts';

export function questionOf(name: string, type: keyof typeof types = 'A', id = 77): Buffer {
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  const labels = nameOf(name).map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([head, ...labels, Buffer.of(0, 0, types[type], 0, 1)]);
}

/** The reply to one packet; undefined when none comes within `waitMs`. */
export async function overUdp(port: number, packet: Buffer, waitMs = 10_000): Promise<Buffer | undefined> {
  const socket = createSocket('udp4');
  try {
    socket.send(packet, port, '127.0.0.1');
    const [reply] = await once(socket, 'message', { signal: AbortSignal.timeout(waitMs) });
    return reply as Buffer;
  } catch {
    return undefined; // It did not come in time.
  } finally {
    socket.close();
  }
}

/** The replies to packets sent at once over one connection, in the order in which they came; fewer when it ended. */
export async function overTcp(port: number, packets: readonly Buffer[]): Promise<Buffer[]> {
  const socket = connect(port, '127.0.0.1');
  const replies: Buffer[] = [];
  try {
    socket.write(Buffer.concat(packets.map(framed)));
    let bytes = Buffer.alloc(0);
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        replies.push(bytes.subarray(2, 2 + bytes.readUInt16BE(0)));
        bytes = bytes.subarray(2 + bytes.readUInt16BE(0));
      }
      if (replies.length === packets.length) break;
    }
  } catch {
    // The server ended it.
  }
  socket.destroy();
  return replies;
}

/** Its rcode, and the data of its A records. */
export function read(reply: Buffer | undefined): { rcode: number; addresses: string[]; ttls: number[]; bits: number } {
  if (!reply) return { rcode: -1, addresses: [], ttls: [], bits: 0 };
  const { bits, bytes, rcode, records } = readMessage(reply);
  const answers = records.filter(({ section }) => section === 'answer');
  const addresses = answers
    .filter(({ type }) => type === types.A)
    .map(({ dataAt }) => {
      return [...bytes.subarray(dataAt, dataAt + 4)].join('.');
    });
  return { rcode, addresses, ttls: answers.map(({ ttl }) => ttl), bits };
}
