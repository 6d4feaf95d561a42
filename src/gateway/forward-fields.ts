import { randomHex } from '../lib/random-hex.ts';
import { isTraceparent } from '../observe/trace.ts';
import { withoutFields } from './http1/fields.ts';
import type { BoundSplit } from './router.ts';
import type { ExchangeRequest } from './sides.ts';

/** Where a client connection comes from, in the forms in which headers say it. */
export interface Peer {
  /** For example `10.0.0.7` or `2001:db8::1`. */
  address: string;
  /** RFC 7239 §4: an IPv6 address is bracketed and quoted. */
  forwardedFor: string;
  /** The lines about the hop for the host below, as a connection mostly asks for one host. */
  hopFields: string;
  hopHost: string;
}

export function peerOf(remoteAddress: string | undefined): Peer {
  const address = (remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '');
  return { address, forwardedFor: address.includes(':') ? `"[${address}]"` : address, hopFields: '', hopHost: '' };
}

/**
 * The fields that go upstream: the client's own, then what the gateway says of the hop (X-Forwarded-*, Forwarded per
 * RFC 7239), of the trace (W3C Trace Context; X-Request-Id is the trace's id unless the client chose one), and of the
 * split, in place of what any of them said under the same name.
 */
export function forwardFields(request: ExchangeRequest, split: BoundSplit, peer: Peer): string {
  const { traceparent } = request;
  const isContinued = isTraceparent(traceparent);
  const traceId = isContinued ? traceparent.slice(3, 35) : randomHex(16);
  const traceFlags = isContinued ? traceparent.slice(53, 55) : '00';
  const requestId = request.requestId === '' ? traceId : request.requestId;
  const fields =
    `${request.fields}${hopFields(request, peer)}traceparent: 00-${traceId}-${randomHex(8)}-${traceFlags}\r\n` +
    `X-Request-Id: ${requestId}\r\n`;
  const { appendFields, overriddenNames } = split;
  return (overriddenNames.size === 0 ? fields : withoutFields(fields, overriddenNames)) + appendFields;
}

/** No path has so many proxies. */
const hopsMax = 100;

/** Whether a request comes by again and again: a Service may lead back to where its Ingress is served. */
export const isGoingRound = ({ forwardedFor }: ExchangeRequest): boolean =>
  forwardedFor.length > hopsMax && forwardedFor.split(',', hopsMax + 1).length > hopsMax;

function hopFields(head: ExchangeRequest, peer: Peer): string {
  const isFirstHop =
    head.forwardedFor === '' && head.forwardedProto === '' && head.forwardedHost === '' && head.forwarded === '';
  if (!isFirstHop) return hopFieldsAfter(head, peer);
  if (peer.hopHost !== head.host) {
    peer.hopHost = head.host;
    peer.hopFields = hopFieldsAfter(head, peer);
  }
  return peer.hopFields;
}

/** Appended to what earlier hops said; the scheme and host that the first of them saw are kept. */
function hopFieldsAfter(head: ExchangeRequest, peer: Peer): string {
  const { host } = head;
  const proto = head.forwardedProto === '' ? 'http' : head.forwardedProto;
  const forwardedHost = head.forwardedHost === '' ? host : head.forwardedHost;
  const forwardedFor = head.forwardedFor === '' ? peer.address : `${head.forwardedFor}, ${peer.address}`;
  const quotedHost = host.includes(':') ? `"${host}"` : host;
  const hop = `for=${peer.forwardedFor};host=${quotedHost};proto=http`;
  const forwarded = head.forwarded === '' ? hop : `${head.forwarded}, ${hop}`;
  return (
    `X-Forwarded-For: ${forwardedFor}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${forwardedHost}\r\n` +
    `Forwarded: ${forwarded}\r\n`
  );
}
