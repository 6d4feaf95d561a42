import type { Socket } from 'node:net';
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
    `HTTP/1.1 ${reply.status} ${reasons[reply.status] ?? 'Error'}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n${dateField}${reply.fields ?? ''}` +
    `${isKeepAlive ? '' : 'Connection: close\r\n'}\r\n${isHead ? '' : body}`
  );
}

/** What a client over the limit is told. */
export function turnAway({ dateField }: GatewayContext, socket: Socket): void {
  socket.on('error', () => {}); // The client is being turned away: how it takes it changes nothing.
  socket.end(replyText(tooManyConnections, dateField, false, false), () => socket.destroy());
}

const reasons: Record<number, string> = {
  400: 'Bad Request',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};
