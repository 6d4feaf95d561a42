import { STATUS_CODES } from 'node:http';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { messageOf } from '../../lib/errors.ts';
import { owned } from '../accepted-socket.ts';
import type { GatewayContext } from '../context.ts';
import type { Exchange } from '../exchange.ts';
import type { BodySink, ExchangeReply, Upstream } from '../sides.ts';
import { errorName, headersOf, linesOf } from './fields.ts';

type Headers = IncomingHttpHeaders & IncomingHttpStatusHeader;

export interface UpstreamStreamOptions {
  context: GatewayContext;
  session: ClientHttp2Session;
  exchange: Exchange;
  /** The session has carried a request before. */
  isReused: boolean;
  /** Nothing more will come of it. */
  onEnded(stream: UpstreamStream): void;
}

/**
 * One exchange as a stream of a session (RFC 9113): the pod's side of it, and where its request's body goes.
 *
 *   connecting ──▶ sent ──▶ replying ──▶ ended          any ──▶ ended, by a reset of either side
 */
export class UpstreamStream implements Upstream, BodySink {
  readonly exchange: Exchange;
  readonly #options: UpstreamStreamOptions;
  #stream: ClientHttp2Stream | undefined;
  #isEnded = false;
  #isBodySent = false;
  #hasReply = false;
  #interimCount = 0;
  /** Of the request, and of the reply. */
  #trailersOut = '';
  #trailersIn = '';
  #why = '';
  #stalledSinceMs = -1;
  #stalledBytes = 0;

  constructor(options: UpstreamStreamOptions) {
    this.exchange = options.exchange;
    this.#options = options;
  }

  get sink(): BodySink {
    return this;
  }

  get isConnecting(): boolean {
    return this.#options.session.connecting;
  }

  get heldBytes(): number {
    const stream = this.#stream;
    return stream === undefined ? 0 : stream.writableLength + stream.readableLength;
  }

  stalledMs(nowMs: number): number {
    const left = this.#stream?.writableLength ?? 0;
    if (!this.isFull || left !== this.#stalledBytes) {
      this.#stalledBytes = left;
      this.#stalledSinceMs = nowMs;
    }
    return this.isFull ? nowMs - this.#stalledSinceMs : 0;
  }

  send({ request, host, fields, body, downstream }: Exchange): void {
    const { method, target, bodyBytes } = request;
    const headers = {
      ...headersOf(fields),
      [constants.HTTP2_HEADER_METHOD]: method,
      [constants.HTTP2_HEADER_SCHEME]: 'http',
      [constants.HTTP2_HEADER_AUTHORITY]: host,
      [constants.HTTP2_HEADER_PATH]: target,
      ...(bodyBytes > 0 && { 'content-length': String(bodyBytes) }),
    };
    this.#isBodySent = body !== undefined;
    const stream = this.#options.session.request(headers, {
      endStream: body === '',
      waitForTrailers: body === undefined,
    });
    this.#stream = stream;
    this.#listen(stream);
    if (body === undefined) downstream.sendBody(this);
    else if (body !== '') stream.end(Buffer.from(body, 'latin1'));
  }

  resume(): void {
    this.#stream?.resume();
  }

  abort(): void {
    this.#end();
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#stream?.resume(); // What has come meanwhile is dropped.
  }

  /** The session ended under it. */
  sessionEnded(why: string): void {
    if (this.#isEnded) return;
    if (this.#stream === undefined) {
      this.#end();
      this.exchange.connectFailed(why);
    } else this.#failed(why);
  }

  // ── The request's body ──

  get isFull(): boolean {
    return this.#stream?.writableNeedDrain ?? false;
  }

  write(bytes: Buffer): void {
    if (bytes.length > 0 && !this.#isEnded) this.#stream?.write(owned(bytes));
  }

  end(trailers: string): void {
    this.#isBodySent = true;
    this.#trailersOut = trailers;
    if (!this.#isEnded) this.#stream?.end();
  }

  cork(): void {
    this.#stream?.cork();
  }

  uncork(): void {
    this.#stream?.uncork();
  }

  // ── The reply ──

  /** Whatever goes wrong in here ends this stream and its exchange, and nothing else. */
  #listen(stream: ClientHttp2Stream): void {
    const { quarantine } = this.#options.context;
    const on = <A extends unknown[]>(event: string, act: (...args: A) => void) =>
      stream.on(event, (...args: unknown[]) => {
        if (this.#isEnded) return;
        quarantine.enter(this.exchange.work);
        try {
          act(...(args as A));
        } catch (error) {
          this.abort();
          this.exchange.fault(error);
        } finally {
          quarantine.leave();
        }
      });
    on('headers', (headers: Headers) => this.#onInterim(headers));
    on('response', (headers: Headers, flags: number) => this.#onReply(headers, flags));
    on('data', (bytes: Buffer) => this.#onData(bytes, stream));
    on('trailers', (headers: Headers) => {
      this.#trailersIn = linesOf(headers);
    });
    on('end', () => this.#onEnd());
    on('drain', () => this.exchange.downstream.resume());
    on('wantTrailers', () => stream.sendTrailers(headersOf(this.#trailersOut)));
    on('close', () => this.#failed(this.#why || `the stream was reset (${errorName(stream.rstCode)})`));
    stream.on('error', (error) => {
      this.#why = messageOf(error);
    });
  }

  #onInterim(headers: Headers): void {
    const { limits } = this.#options.context;
    this.#hasReply = true;
    if (++this.#interimCount > limits.interimReplies) {
      this.abort();
      this.exchange.upstreamFailed(`it sent more than ${limits.interimReplies} interim replies (1xx)`, false);
    } else this.exchange.interim(replyOf(headers, 0));
  }

  #onReply(headers: Headers, flags: number): void {
    this.#hasReply = true;
    const isEmpty = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const length = headers['content-length'];
    if (isEmpty && length === undefined && this.exchange.request.method !== 'HEAD') headers['content-length'] = '0';
    const bodyBytes = length === undefined ? -1 : Number(length);
    this.exchange.reply(replyOf(headers, isEmpty ? 0 : bodyBytes), isEmpty ? '' : undefined, false);
  }

  #onData(bytes: Buffer, stream: ClientHttp2Stream): void {
    const { sink } = this.exchange.downstream;
    this.exchange.noteReplyBytes();
    sink.write(bytes);
    if (sink.isFull) stream.pause();
  }

  #onEnd(): void {
    if (!this.#hasReply) return; // Closed without one: `close` says so.
    if ((this.#stream?.rstCode ?? 0) !== constants.NGHTTP2_NO_ERROR) return; // And that it was cut.
    this.#end();
    // A pod that has answered before it took all of the request has no use for the rest.
    if (!this.#isBodySent) this.#stream?.close(constants.NGHTTP2_NO_ERROR);
    this.exchange.downstream.sink.end(this.#trailersIn);
    this.exchange.replyEnded();
  }

  #failed(why: string): void {
    if (this.#isEnded) return;
    this.#end();
    this.exchange.upstreamFailed(why, this.#options.isReused && !this.#hasReply);
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.onEnded(this);
  }
}

function replyOf(headers: Headers, bodyBytes: number): ExchangeReply {
  const status = Number(headers[':status']);
  const fields = linesOf(withoutBodyLength(headers, status));
  return { status, reason: STATUS_CODES[status] ?? '', bodyBytes, hasDate: 'date' in headers, upgrade: '', fields };
}

/** 1xx and 204 have none (RFC 9110 §8.6). */
function withoutBodyLength(headers: Headers, status: number): Headers {
  if (status >= 200 && status !== 204) return headers;
  const { 'content-length': _, ...others } = headers;
  return others as Headers;
}
