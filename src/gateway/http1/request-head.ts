import type { ExchangeRequest } from '../sides.ts';
import { FieldWalker, listHas, withoutFields } from './fields.ts';
import { isAddressList, isForwarded, isHostList, isSchemeList } from './forwarded.ts';
import type { MessageLimits } from './limits.ts';
import { HttpSyntaxError, isHost, isName, parseLength, targetCharacters, tokenCharacters } from './syntax.ts';

/** How the end of a body is found (RFC 9112 §6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close';

/**
 * The head of one request, checked, and split into what the gateway decides by and what it passes on. One object serves
 * all requests of a connection: `readRequestHead` fills it anew.
 */
export class RequestHead implements ExchangeRequest {
  method = '';
  /** In origin form, or `*`. */
  target = '';
  /** As the client wrote it in Host, or in the target when that was in absolute form. */
  host = '';
  framing: Framing = 'none';
  contentLength = 0;
  /** The client will read another reply on this connection. */
  isKeepAlive = true;
  /** The protocols that the client offers to switch to, or ''. */
  upgrade = '';
  forwardedFor = '';
  forwardedProto = '';
  forwardedHost = '';
  forwarded = '';
  traceparent = '';
  requestId = '';
  /** The fields to pass on, as complete lines: without those above and without what concerns one hop only. */
  fields = '';

  get bodyBytes(): number {
    return this.framing === 'chunked' ? -1 : this.contentLength;
  }
}

const walker = new FieldWalker();

/**
 * Reads the head in `text` (latin1, from the request line up to and including the empty line). Throws HttpSyntaxError
 * for what RFC 9110 and 9112 forbid, and for what they allow but two implementations could read differently.
 */
export function readRequestHead(text: string, head: RequestHead, limits: MessageLimits): void {
  head.framing = 'none';
  head.contentLength = -1;
  head.isKeepAlive = true;
  head.upgrade = '';
  head.forwardedFor = '';
  head.forwardedProto = '';
  head.forwardedHost = '';
  head.forwarded = '';
  head.traceparent = '';
  head.requestId = '';
  const authority = readRequestLine(text, head, limits);
  readFields(text, text.indexOf('\n') + 1, head, limits);
  if (authority !== '') head.host = authority;
}

/** Returns the authority of an absolute-form target, else ''. */
function readRequestLine(text: string, head: RequestHead, limits: MessageLimits): string {
  let at = 0;
  while (tokenCharacters[text.charCodeAt(at)] === 1) at++;
  if (at === 0 || at > 32 || text.charCodeAt(at) !== 0x20) {
    throw new HttpSyntaxError(400, 'the request line does not begin with a method and a space');
  }
  head.method = text.slice(0, at);
  const targetStart = ++at;
  while (targetCharacters[text.charCodeAt(at)] === 1) at++;
  const target = text.slice(targetStart, at);
  if (target.length > limits.targetBytes) {
    throw new HttpSyntaxError(414, `the request target is longer than ${limits.targetBytes} bytes`);
  }
  if (target === '' || text.charCodeAt(at) !== 0x20) {
    throw new HttpSyntaxError(400, 'the request target is empty or has a character that must be percent-encoded');
  }
  if (!text.startsWith('HTTP/1.1\r\n', at + 1)) throw badVersion(text, at + 1);
  return readTarget(target, head);
}

function readTarget(target: string, head: RequestHead): string {
  if (head.method === 'CONNECT')
    throw new HttpSyntaxError(501, 'CONNECT is not supported: this is not a forward proxy');
  head.target = target;
  if (target.charCodeAt(0) === 0x2f) return '';
  if (target === '*') {
    if (head.method === 'OPTIONS') return '';
    throw new HttpSyntaxError(400, 'the request target * is for OPTIONS only');
  }
  const match = /^https?:\/\/([^/?]+)(.*)$/i.exec(target);
  const authority = match?.[1];
  if (authority === undefined) throw new HttpSyntaxError(400, 'the request target is neither a path nor an http URL');
  checkHost(authority, 'the request target');
  const rest = match?.[2] ?? '';
  if (rest === '') head.target = head.method === 'OPTIONS' ? '*' : '/';
  else head.target = rest.startsWith('/') ? rest : `/${rest}`;
  return authority;
}

function badVersion(text: string, at: number): HttpSyntaxError {
  const version = /^HTTP\/\d\.\d(?=\r\n)/.exec(text.slice(at))?.[0];
  return version === undefined
    ? new HttpSyntaxError(400, 'the request line does not end in an HTTP version')
    : new HttpSyntaxError(505, `${version} is not supported: use HTTP/1.1`);
}

function readFields(text: string, start: number, head: RequestHead, limits: MessageLimits): void {
  let hasHost = false;
  let transferEncoding: string | undefined;
  let connection = '';
  let upgrade = '';
  let fields = '';
  let keptFrom = start;
  walker.begin(text, start, limits);
  while (walker.next()) {
    const { lineStart } = walker;
    let isDropped = false;
    switch (text.charCodeAt(lineStart) | 0x20) {
      case 0x63: // c
        if (walker.is('connection')) {
          connection = walker.joined(connection);
          isDropped = true;
        } else if (walker.is('content-length')) {
          isDropped = true;
          readContentLength(head);
        }
        break;
      case 0x65: // e
        if (walker.is('expect') && walker.value().toLowerCase() !== '100-continue') {
          throw new HttpSyntaxError(417, 'the only expectation that can be met is 100-continue');
        }
        break;
      case 0x66: // f
        if (walker.is('forwarded')) {
          head.forwarded = said(head.forwarded, isForwarded);
          isDropped = true;
        }
        break;
      case 0x68: // h
        if (walker.is('host')) {
          if (hasHost) throw new HttpSyntaxError(400, 'there is more than one Host header field');
          hasHost = true;
          const host = walker.value();
          // Mostly the one that the connection's last request named, and that was checked.
          if (host === '' || host !== head.host) checkHost(host, 'the Host header field');
          head.host = host;
          isDropped = true;
        } else if (walker.is('http2-settings')) {
          isDropped = true;
        }
        break;
      case 0x6b: // k
        isDropped = walker.is('keep-alive') || isSplitHeader();
        break;
      case 0x70: // p
        isDropped = walker.is('proxy-connection') || walker.is('proxy-authorization');
        break;
      case 0x74: // t
        if (walker.is('transfer-encoding')) {
          transferEncoding = transferEncoding === undefined ? walker.value() : `${transferEncoding}, ${walker.value()}`;
          isDropped = true;
        } else if (walker.is('traceparent')) {
          // Two of them are as good as none: W3C Trace Context §3.3 asks to restart the trace.
          head.traceparent = head.traceparent === '' ? walker.value() : 'ambiguous';
          isDropped = true;
        } else if (walker.is('te')) {
          isDropped = true;
        }
        break;
      case 0x75: // u
        if (walker.is('upgrade')) {
          upgrade = walker.joined(upgrade);
          isDropped = true;
        }
        break;
      case 0x78: // x
        if (walker.is('x-forwarded-for')) {
          head.forwardedFor = said(head.forwardedFor, isAddressList);
          isDropped = true;
        } else if (walker.is('x-forwarded-proto')) {
          head.forwardedProto = said(head.forwardedProto, isSchemeList);
          isDropped = true;
        } else if (walker.is('x-forwarded-host')) {
          head.forwardedHost = said(head.forwardedHost, isHostList);
          isDropped = true;
        } else if (walker.is('x-request-id')) {
          head.requestId = walker.value();
          isDropped = true;
        }
    }
    if (isDropped) {
      fields += text.slice(keptFrom, lineStart);
      keptFrom = walker.lineEnd;
    }
  }
  head.fields = fields + text.slice(keptFrom, walker.lineEnd);
  if (head.forwarded === broken) head.forwarded = '';
  if (head.forwardedFor === broken) head.forwardedFor = '';
  if (head.forwardedProto === broken) head.forwardedProto = '';
  if (head.forwardedHost === broken) head.forwardedHost = '';
  if (!hasHost) throw new HttpSyntaxError(400, 'there is no Host header field');
  decideFraming(head, transferEncoding);
  if (connection !== '') applyConnection(head, connection, upgrade);
}

/** What only a gateway may say of a request; Knative-Serving-Tag is the client's to choose. */
function isSplitHeader(): boolean {
  return isName(walker.text, walker.lineStart, 'knative-serving-') && !walker.is('knative-serving-tag');
}

/** Stands for what earlier hops said while a head is read, once a line of it was broken: no value has a line's end. */
const broken = '\n';

/** What earlier hops said, with the walker's line: nothing of it is kept when one line is broken. */
function said(before: string, isWhole: (value: string) => boolean): string {
  const value = walker.value();
  if (value === '') return before;
  return before === broken || !isWhole(value) ? broken : walker.joined(before);
}

function readContentLength(head: RequestHead): void {
  const length = parseLength(walker.value());
  if (length === -1) throw new HttpSyntaxError(400, `Content-Length is not a number: ${quoted(walker.value())}`);
  if (head.contentLength !== -1 && head.contentLength !== length) {
    throw new HttpSyntaxError(400, 'there are several Content-Length header fields, and they differ');
  }
  head.contentLength = length;
}

/** An empty Transfer-Encoding is one, too: what stands behind it may be read by it or by Content-Length. */
function decideFraming(head: RequestHead, transferEncoding: string | undefined): void {
  if (transferEncoding !== undefined) {
    if (head.contentLength !== -1) {
      throw new HttpSyntaxError(400, 'there are both Transfer-Encoding and Content-Length');
    }
    if (transferEncoding.toLowerCase() !== 'chunked') {
      throw new HttpSyntaxError(501, `Transfer-Encoding ${quoted(transferEncoding)} is not supported: use chunked`);
    }
    head.framing = 'chunked';
    head.contentLength = 0;
  } else if (head.contentLength > 0) {
    head.framing = 'length';
  } else if (head.contentLength === 0) {
    // An empty body is worth saying: a POST without it is answered 411 by some servers.
    head.fields += 'Content-Length: 0\r\n';
  } else {
    head.contentLength = 0;
  }
}

function applyConnection(head: RequestHead, connection: string, upgrade: string): void {
  const options = connection.toLowerCase();
  if (options === 'keep-alive') return;
  if (listHas(options, 'close')) head.isKeepAlive = false;
  // A body in front of the new protocol, and h2c behind a proxy, are ways to smuggle: such a request goes on as plain.
  if (upgrade !== '' && listHas(options, 'upgrade') && head.framing === 'none' && !listHas(upgrade, 'h2c')) {
    head.upgrade = upgrade;
  }
  const named = new Set(options.split(',').map((option) => option.trim()));
  for (const kept of ['host', 'content-length', 'expect']) named.delete(kept);
  head.fields = withoutFields(head.fields, named);
}

function checkHost(host: string, where: string): void {
  if (!isHost(host)) throw new HttpSyntaxError(400, `${where} does not name a valid host: ${quoted(host)}`);
}

/** For messages: short, and without what could break a log line or a terminal. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text).replace(/[^\x20-\x7e…]/g, '?');
}
