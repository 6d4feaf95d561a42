import type { Socket } from 'node:net';
import { STATUS_CODES } from '../../lib/node-http.ts';
import type { GatewayContext } from '../context.ts';
import { type Reply, tooManyConnections } from '../replies.ts';
import type { ExchangeReply } from '../sides.ts';

/** The head of a reply from upstream. */
export function replyHead(reply: ExchangeReply, isChunked: boolean, dateField: string, isKeepAlive: boolean): string {
  let connection = isKeepAlive ? '' : 'Connection: close\r\n';
  // Only as the advice of 426 (RFC 9110 §15.5.22) does Upgrade outlive the hop without a switch.
  if (reply.upgrade !== '' && reply.status === 426) {
    connection = `Upgrade: ${reply.upgrade}\r\nConnection: ${isKeepAlive ? 'Upgrade' : 'Upgrade, close'}\r\n`;
  }
  return (
    `HTTP/1.1 ${reply.status} ${reply.reason}\r\n${reply.fields}${isChunked ? 'Transfer-Encoding: chunked\r\n' : ''}` +
    `${reply.hasDate ? '' : dateField}${connection}\r\n`
  );
}

/** A reply of the gateway itself; `isHead` leaves the body out, as HEAD asks. */
export function replyText(reply: Reply, dateField: string, isHead: boolean, isKeepAlive: boolean): string {
  const body = `${reply.body}\n`;
  return (
    `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${dateField}${reply.fields ?? ''}` +
    `${isKeepAlive ? '' : 'Connection: close\r\n'}\r\n${isHead ? '' : body}`
  );
}

/** What a client over the limit is told. */
export function turnAway({ dateField }: GatewayContext, socket: Socket): void {
  socket.on('error', () => {}); // The client is being turned away: how it takes it changes nothing.
  socket.end(replyText(tooManyConnections, dateField, false, false), () => socket.destroy());
}
