/** One question to one other server. */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type Message, readMessage } from './wire/message.ts';
import { keyOf, MalformedError } from './wire/name.ts';
import type { Question } from './wire/query.ts';

export interface Upstream {
  address: string;
  port: number;
}

export interface Asked {
  /** As it goes out, but for the id. */
  message: Buffer;
  id: number;
  question: Question;
}

/** It did not answer, or what it answered is nothing: another may. */
export class NoAnswerError extends Error {}

const tcpBytesMax = 65_535;

/** Over UDP from a port of its own; what does not answer the question is as if it had not come. */
export function askOverUdp(upstream: Upstream, asked: Asked, clock: Clock, timeoutMs: number): Promise<Message> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(upstream.address.replace(/%.*/, '')) ? 'udp6' : 'udp4');
    const end = (error?: Error, answer?: Message) => {
      cancel();
      socket.removeAllListeners();
      socket.on('error', () => {}); // It is over.
      socket.close();
      if (answer) resolve(answer);
      else reject(new NoAnswerError(error ? messageOf(error) : 'it did not answer in time'));
    };
    const cancel = clock.after(timeoutMs, () => end());
    socket.on('error', end);
    socket.on('message', (bytes) => {
      const answer = answerTo(asked, bytes);
      if (answer) end(undefined, answer);
    });
    // Connected, so that the kernel drops what others send, and says when nobody listens there.
    socket.connect(upstream.port, upstream.address, () => {
      socket.send(asked.message, (error) => {
        if (error) end(error);
      });
    });
  });
}

export function askOverTcp(upstream: Upstream, asked: Asked, clock: Clock, timeoutMs: number): Promise<Message> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: upstream.address, port: upstream.port });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (why: string, answer?: Message) => {
      cancel();
      socket.removeAllListeners();
      socket.on('error', () => {}); // It is over.
      socket.destroy();
      if (answer) resolve(answer);
      else reject(new NoAnswerError(why));
    };
    const cancel = clock.after(timeoutMs, () => end('it did not answer in time'));
    socket.on('error', (error) => end(messageOf(error)));
    socket.on('close', () => end('it ended the connection'));
    socket.on('connect', () => socket.write(framed(asked.message)));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes < 2) return;
      const all = chunks.length === 1 ? chunk : Buffer.concat(chunks);
      const length = all.readUInt16BE(0);
      if (bytes < 2 + length && bytes < 2 + tcpBytesMax) return;
      const answer = answerTo(asked, all.subarray(2, 2 + length));
      end('what it answered is none', answer && !answer.isTruncated ? answer : undefined);
    });
  });
}

/** As messages go over TCP: with their length before them. */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function answerTo({ id, question }: Asked, bytes: Buffer): Message | undefined {
  try {
    const message = readMessage(bytes);
    const { name, type, class: of } = message.question;
    const isSame = keyOf(name) === keyOf(question.name) && type === question.type && of === question.class;
    return message.id === id && isSame ? message : undefined;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
