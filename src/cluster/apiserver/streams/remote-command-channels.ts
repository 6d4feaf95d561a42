import { Writable } from 'node:stream';
import { Inbox } from './inbox.ts';
import { errorText, type RemoteClient, sizeReader, type WantedStreams } from './remote-command.ts';
import type { WebSocketConnection } from './websocket/connection.ts';
import { closeCodes, opcodes } from './websocket/frames.ts';

/**
 * Commands over a WebSocket: each message begins with the number of its channel. Version 5 can close a channel, which
 * is how a client ends the input of a command; in those with `base64` messages are text.
 */
export const channelProtocols = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v4.base64.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
  'base64.channel.k8s.io',
  '',
];

const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 };
const slash0 = 0x30;
/** Of a message in base64, which is decoded as a whole. */
const textMessageBytesMax = 1024 * 1024;
const messageBytesMax = 64 * 1024;

export function channelClient(connection: WebSocketConnection, wanted: WantedStreams): RemoteClient {
  const { protocol, transport } = connection;
  const version = Number(/^v(\d)/.exec(protocol)?.[1] ?? 1);
  const stdin = wanted.stdin ? new Inbox() : undefined;
  const gone = new AbortController();
  const sizes: ((size: { columns: number; rows: number }) => void)[] = [];
  const readSize = sizeReader((size) => {
    for (const listener of sizes) listener(size);
  });
  const send = channelWriter(connection);
  const output = (isWanted: boolean, channel: number) =>
    isWanted
      ? new Writable({
          write(chunk: Buffer, _encoding, done) {
            send(channel, chunk).then(() => done(), done);
          },
        })
      : undefined;
  const stdout = output(wanted.stdout, channels.stdout);
  const stderr = output(wanted.stderr, channels.stderr);
  for (const stream of [stdout, stderr, stdin]) stream?.on('error', () => {}); // The client is gone.
  transport.gone.addEventListener('abort', () => gone.abort(), { once: true });

  // Never rejects.
  void readChannels(connection, {
    async receive(channel, bytes) {
      if (channel === channels.stdin) await stdin?.put(bytes);
      else if (channel === channels.resize) readSize(bytes);
      else if (channel === channels.close && version >= 5 && bytes[0] === channels.stdin) stdin?.finish();
    },
    ended() {
      gone.abort();
      stdin?.destroy();
    },
  });
  // It says that the command's streams stand, before there is anything to say.
  const lowest = wanted.stdout ? channels.stdout : wanted.stderr ? channels.stderr : channels.error;
  send(lowest, Buffer.alloc(0)).catch(() => {}); // The client is gone, as is seen by all.
  return {
    stdin,
    stdout,
    stderr,
    gone: gone.signal,
    onResize: (listener) => sizes.push(listener),
    async finish(status) {
      const text = errorText(status, version);
      if (text !== '') await send(channels.error, Buffer.from(text));
      connection.close(closeCodes.normal);
    },
  };
}

export type ChannelWriter = (channel: number, bytes: Buffer) => Promise<void>;

/** Sends bytes as messages of a channel. */
export function channelWriter({ protocol, send, transport }: WebSocketConnection): ChannelWriter {
  const isText = protocol.includes('base64');
  return async (channel, bytes) => {
    let at = 0;
    do {
      const part = bytes.subarray(at, at + messageBytesMax);
      at += part.length;
      transport.traffic++;
      if (isText) await send(opcodes.text, Buffer.from(`${channel}${part.toString('base64')}`));
      else await send(opcodes.binary, Buffer.from([channel]), part);
    } while (at < bytes.length);
  };
}

interface ChannelReader {
  /** A part of what came on a channel; the next comes when it is resolved. */
  receive(channel: number, bytes: Buffer): Promise<void>;
  /** The client has closed, or is gone. */
  ended(): void;
}

/** Reads the client's messages to their end. Never rejects. */
export async function readChannels(connection: WebSocketConnection, reader: ChannelReader): Promise<void> {
  const isText = connection.protocol.includes('base64');
  let channel: number | undefined;
  let text: Buffer[] = [];
  let textBytes = 0;
  try {
    for await (const piece of connection.pieces()) {
      connection.transport.traffic++;
      let { bytes } = piece;
      if (isText) {
        text.push(Buffer.from(bytes));
        textBytes += bytes.length;
        if (textBytes > textMessageBytesMax) return connection.close(closeCodes.tooBig);
        if (!piece.isLast) continue;
        const whole = Buffer.concat(text);
        [text, textBytes] = [[], 0];
        if (whole.length === 0) continue;
        await reader.receive((whole[0] ?? 0) - slash0, Buffer.from(whole.toString('latin1', 1), 'base64'));
        continue;
      }
      if (channel === undefined) {
        channel = bytes[0];
        bytes = bytes.subarray(1);
      }
      if (channel !== undefined && bytes.length > 0) await reader.receive(channel, bytes);
      if (piece.isLast) channel = undefined;
    }
  } catch {
    // It broke: that is its end.
  } finally {
    reader.ended();
  }
}
