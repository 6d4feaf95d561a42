import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import { listen } from '../../../observe/listen.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import { framed } from './ask.ts';
import type { Transport } from './resolver.ts';
import { flags } from './wire/constants.ts';

export interface DnsServerOptions {
  /** Where it listens, over UDP and TCP, and nowhere else. */
  address: string;
  port: number;
  /** Who may ask: nothing is said to others, whose address may be another's that is to be flooded. */
  isClient(address: string): boolean;
  resolve(message: Buffer, transport: Transport): Buffer | undefined | Promise<Buffer | undefined>;
  log: Logger;
  metrics?: Metrics | undefined;
}

export interface DnsServer {
  port: number;
  stop(): Promise<void>;
}

/** Questions over UDP that wait for others to answer; further ones get no answer, and are sent again. */
const waitingMax = 2_048;
const connectionsMax = 256;
const idleMs = 10_000;
/** Of one connection: further questions are not read before some are answered. */
const perConnectionMax = 32;
/** No question is larger. */
const messageBytesMax = 4_096;
/** A client that asks and does not read. */
const unreadBytesMax = 512 * 1024;
const receiveBufferBytes = 1024 * 1024;

/** Listens. Rejects when it cannot, be it that somebody else does. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { address, log, metrics } = options;
  const requests = metrics?.counter('kittiwake_dns_requests_total', 'Answered questions.', ['transport', 'rcode']);
  const answer: Answer = async (message, transport) => {
    try {
      const reply = await options.resolve(message, transport);
      if (reply) requests?.inc({ transport, rcode: String(reply.readUInt16BE(2) & flags.rcode) });
      return reply;
    } catch (error) {
      log.error({ err: error }, 'a DNS question could not be answered');
      return undefined;
    }
  };
  const connections = new Set<Socket>();
  const tcp = createServer({ pauseOnConnect: true }, (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => socket.destroy()); // It is the client's.
    if (options.isClient(withoutZone(socket.remoteAddress ?? ''))) serveConnection(socket, answer);
    else socket.destroy();
  });
  tcp.maxConnections = connectionsMax;
  const port = await listen(tcp, { port: options.port, host: address, role: 'DNS', flag: '--dns-port', log });
  try {
    const udp = await startUdp({ ...options, port }, answer);
    return { port, stop: () => stop(udp, tcp, connections) };
  } catch (error) {
    tcp.close();
    throw error;
  }
}

type Answer = (message: Buffer, transport: Transport) => Promise<Buffer | undefined>;

async function startUdp({ address, isClient, log, port }: DnsServerOptions, answer: Answer): Promise<UdpSocket> {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', recvBufferSize: receiveBufferBytes });
  let waiting = 0;
  const reply = async (message: Buffer, from: RemoteInfo) => {
    waiting++;
    const answered = await answer(message, 'udp');
    waiting--;
    if (answered) send(socket, answered, from);
  };
  socket.on('message', (message, from) => {
    if (waiting >= waitingMax || !isClient(withoutZone(from.address))) return;
    void reply(message, from); // Neither `answer` nor `send` fails.
  });
  socket.bind(port, address);
  await once(socket, 'listening');
  socket.on('error', (error) => log.error({ err: error }, 'the DNS socket failed'));
  return socket;
}

/** It may have been closed meanwhile; and whoever cannot be reached does not wait for it. */
function send(socket: UdpSocket, reply: Buffer, { address, port }: { address: string; port: number }): void {
  try {
    socket.send(reply, port, address, () => {});
  } catch {
    // Closed.
  }
}

/** Messages follow one another, each after its length; replies go out as they are there (RFC 7766). */
function serveConnection(socket: Socket, answer: Answer): void {
  let buffered: Buffer = Buffer.alloc(0);
  let waiting = 0;
  const reply = async (message: Buffer) => {
    const answered = await answer(message, 'tcp');
    waiting--;
    if (!answered || socket.writableLength > unreadBytesMax) {
      socket.destroy();
      return;
    }
    socket.write(framed(answered));
    take();
  };
  const take = () => {
    while (waiting < perConnectionMax && buffered.length >= 2) {
      const length = buffered.readUInt16BE(0);
      if (length > messageBytesMax) {
        socket.destroy();
        return;
      }
      if (buffered.length < 2 + length) break;
      const message = buffered.subarray(2, 2 + length);
      buffered = buffered.subarray(2 + length);
      waiting++;
      void reply(message); // `answer` does not reject.
    }
    if (waiting < perConnectionMax) socket.resume();
    else socket.pause();
  };
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    take();
  });
  socket.resume();
}

async function stop(udp: UdpSocket, tcp: Server, connections: Iterable<Socket>): Promise<void> {
  for (const socket of connections) socket.destroy();
  await Promise.all([
    new Promise<void>((resolve) => udp.close(() => resolve())),
    new Promise<void>((resolve) => tcp.close(() => resolve())),
  ]);
}

const withoutZone = (address: string): string => address.replace(/^::ffff:/, '').replace(/%.*/, '');
