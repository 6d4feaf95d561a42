import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { Inbox } from './inbox.ts';
import { channelWriter, readChannels } from './remote-command-channels.ts';
import { SpdySession, type SpdyStream } from './spdy/session.ts';
import type { Transport } from './transport.ts';
import type { WebSocketConnection } from './websocket/connection.ts';
import { closeCodes, opcodes } from './websocket/frames.ts';

/** Over SPDY, also where that goes through a WebSocket (kubectl since 1.31). */
export const forwardProtocol = 'portforward.k8s.io';
export const tunnelProtocol = `SPDY/3.1+${forwardProtocol}`;
/** Over a WebSocket by itself: each port of the query has two channels. */
export const forwardChannelProtocols = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', ''];

export interface Forwarding {
  /** How the pod is called in what goes wrong: `NAME, uid UID`. */
  pod: string;
  clock: Clock;
  connect(port: number): Promise<Duplex>;
}

/** As the kubelet: a stream whose other one does not come is given up. */
const pairMs = 30_000;

interface Pair {
  data?: SpdyStream;
  error?: SpdyStream;
  cancel(): void;
}

/** Forwards connections, each a stream for its data and one for what goes wrong. Returns at once. */
export function forwardOverSpdy(transport: Transport, forwarding: Forwarding): SpdySession {
  const { clock } = forwarding;
  const pairs = new Map<string, Pair>();
  const session = new SpdySession(transport, (stream) => {
    const { headers } = stream;
    const port = portOf(headers.get('port'));
    const type = headers.get('streamtype');
    if (port === undefined || (type !== 'data' && type !== 'error')) return false;
    // Clients of old send none: then a pair are streams that follow each other.
    const id = headers.get('requestid') ?? `${type === 'error' ? stream.id : stream.id - 2}`;
    const pair = pairs.get(id) ?? { cancel: () => {} };
    if (pair[type]) return false;
    pair[type] = stream;
    pair.cancel();
    if (pair.data && pair.error) {
      pairs.delete(id);
      void forward(pair.data, pair.error, port, forwarding); // Never rejects.
      return true;
    }
    pairs.set(id, pair);
    const forget = () => {
      pair.cancel();
      pairs.delete(id);
      pair.data?.destroy();
      pair.error?.destroy();
    };
    pair.cancel = clock.after(pairMs, forget);
    return true;
  });
  session
    .serve()
    .catch(() => {}) // However it ends, it is the end.
    .finally(() => {
      for (const pair of pairs.values()) pair.cancel();
      transport.destroy();
    });
  return session;
}

/** Forwards one connection to its end. Never rejects. */
async function forward(data: Duplex, error: SpdyStream, port: number, { pod, connect }: Forwarding): Promise<void> {
  error.resume(); // It is the client's to close its half at once.
  let failure: string | undefined;
  try {
    await join(data, await connect(port));
  } catch (cause) {
    failure = `error forwarding port ${port} to pod ${pod}: ${messageOf(cause)}`;
  }
  if (!error.destroyed) error.end(failure);
  if (!data.writableEnded) data.end();
  if (!data.readableEnded) data.destroy();
}

/** Both ways, to the end of either; resolves when the pod has said all. Rejects when it breaks off. */
async function join(client: Duplex, pod: Duplex): Promise<void> {
  const toPod = pipeline(client, pod, { end: true }).catch(() => {
    // The client has given up, or the pod reads no more: the other way says how it ended.
    if (client.destroyed) pod.destroy();
  });
  try {
    await pipeline(pod, client, { end: true });
  } catch (error) {
    if (!client.destroyed) throw error;
  } finally {
    if (client.readableEnded) await toPod;
    else pod.destroy();
  }
}

/** A port number; undefined for what is none. */
function portOf(text: string | null | undefined): number | undefined {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** The ports that a query names: `ports=80,81&ports=82`. Undefined when one is none, or there is none at all. */
export function portsOf(query: URLSearchParams): number[] | undefined {
  const ports = query.getAll('ports').flatMap((each) => each.split(',').map(portOf));
  const known = ports.filter((port) => port !== undefined);
  return known.length === 0 || known.length !== ports.length ? undefined : known;
}

/** A WebSocket as a connection of bytes, for SPDY through it. */
export function tunnelTransport({ pieces, send, close, transport }: WebSocketConnection): Transport {
  return {
    gone: transport.gone,
    get traffic() {
      return transport.traffic;
    },
    set traffic(count) {
      transport.traffic = count;
    },
    input: (async function* () {
      for await (const { bytes } of pieces()) yield bytes;
    })(),
    send: (...parts) => send(opcodes.binary, ...parts),
    end: () => close(closeCodes.normal),
    destroy: () => transport.destroy(),
  };
}

/** Forwards one connection to each of `ports`, each with a channel for its data and one for what goes wrong. */
export async function forwardOverChannels(
  connection: WebSocketConnection,
  ports: readonly number[],
  { pod, connect }: Forwarding,
): Promise<void> {
  const send = channelWriter(connection);
  const inboxes = ports.map(() => new Inbox());
  const reading = readChannels(connection, {
    async receive(channel, bytes) {
      if (channel % 2 === 0) await inboxes[channel / 2]?.put(bytes);
    },
    ended() {
      for (const inbox of inboxes) inbox.destroy();
    },
  });
  connection.transport.gone.addEventListener('abort', () => inboxes.map((inbox) => inbox.destroy()), { once: true });
  const one = async (port: number, i: number) => {
    const inbox = inboxes[i] as Inbox;
    const name = Buffer.from([port & 255, port >> 8]);
    await send(2 * i, name);
    await send(2 * i + 1, name);
    try {
      const socket = await connect(port);
      inbox.on('close', () => socket.destroy());
      pipeline(inbox, socket).catch(() => {}); // What the pod says tells how it ended.
      for await (const chunk of socket) await send(2 * i, chunk);
    } catch (error) {
      const failure = `error forwarding port ${port} to pod ${pod}: ${messageOf(error)}`;
      await send(2 * i + 1, Buffer.from(failure));
    }
  };
  await Promise.allSettled(ports.map(one));
  connection.close(closeCodes.normal);
  await reading;
}
