import type { ExchangeReply } from '../sides.ts';
import { FieldWalker, listHas, withoutFields } from './fields.ts';
import type { MessageLimits } from './limits.ts';
import type { Framing } from './request-head.ts';
import { HttpSyntaxError, parseLength, valueCharacters } from './syntax.ts';

/** The head of one reply from upstream, checked; one object serves all replies of a connection. */
export class ResponseHead implements ExchangeReply {
  status = 0;
  reason = '';
  framing: Framing = 'none';
  contentLength = 0;
  /** Upstream will answer another request on this connection. */
  isKeepAlive = true;
  /** Seconds that upstream says it keeps an idle connection (`Keep-Alive: timeout=`), or -1. */
  keepAliveSeconds = -1;
  hasDate = false;
  upgrade = '';
  /** The fields to pass on, as complete lines, Content-Length included when it frames the body. */
  fields = '';

  get bodyBytes(): number {
    if (this.framing === 'none') return 0;
    return this.framing === 'length' ? this.contentLength : -1;
  }
}

const walker = new FieldWalker();

/**
 * Reads the head in `text` (latin1, up to and including the empty line) of the reply to a request of `method`. As
 * strict as for requests: a reply that could be read in two ways is refused (the client gets 502).
 */
export function readResponseHead(text: string, method: string, head: ResponseHead, limits: MessageLimits): void {
  head.keepAliveSeconds = -1;
  head.hasDate = false;
  head.upgrade = '';
  head.contentLength = -1;
  const isVersion11 = readStatusLine(text, head);
  head.isKeepAlive = isVersion11;
  let transferEncoding: string | undefined;
  let connection = '';
  let fields = '';
  const start = text.indexOf('\n') + 1;
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
          isDropped = readContentLength(head);
        }
        break;
      case 0x64: // d
        if (walker.is('date')) head.hasDate = true;
        break;
      case 0x6b: // k
        if (walker.is('keep-alive')) {
          isDropped = true;
          head.keepAliveSeconds = Number(/(?:^|[ ,])timeout=(\d{1,6})/i.exec(walker.value())?.[1] ?? -1);
        }
        break;
      case 0x70: // p
        isDropped = walker.is('proxy-connection');
        break;
      case 0x74: // t
        if (walker.is('transfer-encoding')) {
          transferEncoding = transferEncoding === undefined ? walker.value() : `${transferEncoding}, ${walker.value()}`;
          isDropped = true;
        }
        break;
      case 0x75: // u
        if (walker.is('upgrade')) {
          head.upgrade = walker.joined(head.upgrade);
          isDropped = true;
        }
    }
    if (isDropped) {
      fields += text.slice(keptFrom, lineStart);
      keptFrom = walker.lineEnd;
    }
  }
  head.fields = fields + text.slice(keptFrom, walker.lineEnd);
  decideFraming(head, method, transferEncoding, isVersion11);
  if (connection !== '') applyConnection(head, connection);
}

/** Returns whether the version is HTTP/1.1; HTTP/1.0, which simple servers still speak, is read too. */
function readStatusLine(text: string, head: ResponseHead): boolean {
  const isVersion11 = text.startsWith('HTTP/1.1 ');
  const digits = [text.charCodeAt(9) - 0x30, text.charCodeAt(10) - 0x30, text.charCodeAt(11) - 0x30] as const;
  const [hundreds, tens, ones] = digits;
  const isStatus = hundreds >= 1 && hundreds <= 9 && tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9;
  if ((!isVersion11 && !text.startsWith('HTTP/1.0 ')) || !isStatus) {
    throw new HttpSyntaxError(502, 'the status line is not one of HTTP/1.1');
  }
  let at = 12;
  if (text.charCodeAt(at) === 0x20) while (valueCharacters[text.charCodeAt(at)] === 1) at++;
  if (text.charCodeAt(at) !== 0x0d || text.charCodeAt(at + 1) !== 0x0a) {
    throw new HttpSyntaxError(502, 'the status line does not end in a reason and CRLF');
  }
  head.status = hundreds * 100 + tens * 10 + ones;
  head.reason = text.slice(13, at);
  return isVersion11;
}

/** Returns whether the field repeats what another one said. */
function readContentLength(head: ResponseHead): boolean {
  const length = parseLength(walker.value());
  if (length === -1) throw new HttpSyntaxError(502, 'Content-Length is not a number');
  const isRepeated = head.contentLength !== -1;
  if (isRepeated && head.contentLength !== length) {
    throw new HttpSyntaxError(502, 'there are several Content-Length header fields, and they differ');
  }
  head.contentLength = length;
  return isRepeated;
}

function decideFraming(
  head: ResponseHead,
  method: string,
  transferEncoding: string | undefined,
  isVersion11: boolean,
): void {
  const { status } = head;
  if (transferEncoding !== undefined) {
    if (head.contentLength !== -1) {
      throw new HttpSyntaxError(502, 'there are both Transfer-Encoding and Content-Length');
    }
    if (!isVersion11 || transferEncoding.toLowerCase() !== 'chunked') {
      throw new HttpSyntaxError(502, 'the Transfer-Encoding is not chunked in HTTP/1.1');
    }
  }
  if (status < 200 || status === 204) {
    // RFC 9110 §8.6: these carry no Content-Length; one that says otherwise has bytes behind it that belong to nobody.
    if (head.contentLength >= 0) head.fields = withoutFields(head.fields, contentLengthName);
    if (head.contentLength > 0 || transferEncoding !== undefined) head.isKeepAlive = false;
    head.framing = 'none';
  } else if (method === 'HEAD' || status === 304) {
    head.framing = 'none';
  } else if (transferEncoding !== undefined) {
    head.framing = 'chunked';
  } else if (head.contentLength !== -1) {
    head.framing = head.contentLength === 0 ? 'none' : 'length';
  } else {
    head.framing = 'close';
    head.isKeepAlive = false;
  }
  if (head.contentLength === -1) head.contentLength = 0;
}

function applyConnection(head: ResponseHead, connection: string): void {
  const options = connection.toLowerCase();
  if (options === 'keep-alive') {
    // HTTP/1.0 with keep-alive exists, but its bodies are framed by length at best: not worth keeping.
    return;
  }
  if (listHas(options, 'close')) head.isKeepAlive = false;
  const named = new Set(options.split(',').map((option) => option.trim()));
  for (const kept of ['content-length', 'date']) named.delete(kept);
  head.fields = withoutFields(head.fields, named);
}

const contentLengthName: ReadonlySet<string> = new Set(['content-length']);
