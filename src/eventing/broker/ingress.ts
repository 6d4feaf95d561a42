import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { ByteBudget } from '../../lib/byte-budget.ts';
import type { Clock } from '../../lib/clock.ts';
import { isCrossSite } from '../../lib/cross-site.ts';
import { commonErrors, KittiwakeError } from '../../lib/errors.ts';
import { GrowingBuffer } from '../../lib/growing-buffer.ts';
import { createServer } from '../../lib/node-http.ts';
import type { Logger } from '../../observe/log.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import { invalidEvent } from '../cloudevents/event.ts';
import { decodeHttp } from '../cloudevents/http.ts';
import { eventErrors } from '../errors.ts';
import { passThrough } from '../pass-through.ts';
import type { BrokerMetrics } from './metrics.ts';
import type { BrokerRuntime } from './runtime.ts';
import { nextTtl, ttlAttribute } from './time-to-live.ts';

export interface IngressOptions {
  /** The broker of a path, or why there is none. */
  find(namespace: string, name: string): BrokerRuntime | KittiwakeError;
  eventBytesMax: number;
  /** Of all request bodies at once. */
  bodiesBytesMax: number;
  metrics: BrokerMetrics;
  clock: Clock;
  log: Logger;
}

/**
 * The HTTP server that producers post to, at `/<namespace>/<broker>`. It answers 202 once the event is on disk, and
 * otherwise as Knative's ingress does: 405 for other methods, 404 for an unknown broker, 400 for what is no event. What
 * a browser sends for a page of another site gets 403, and there is no CORS: no page has a broker's own origin.
 */
export function createIngress(options: IngressOptions): Server {
  const ingress = new Ingress(options);
  const times = { keepAliveTimeout: 75_000, headersTimeout: 15_000, requestTimeout: 60_000 };
  const onPipelined = () => options.metrics.refused('PIPELINED_TOO_MANY');
  const server = createServer({ ...times, pipelinedMax, onPipelined });
  server.maxConnections = connectionsMax;
  // Bounded by bytes (16 KiB); by count, Node would leave some out without a word, and an event would lack attributes.
  server.maxHeadersCount = 0;
  // For producers that do not take their answers: nothing moves on the connection.
  server.setTimeout(120_000);
  server.on('request', (request, response) => ingress.handle(request, response));
  server.on('checkContinue', (request, response) => ingress.handle(request, response, true));
  return server;
}

const connectionsMax = 4096;
/** Requests of one connection that wait for their answers. */
const pipelinedMax = 64;
const retryAfterSeconds = '1';

class Ingress {
  readonly #options: IngressOptions;
  readonly #bodies: ByteBudget;

  constructor(options: IngressOptions) {
    this.#options = options;
    this.#bodies = new ByteBudget(options.bodiesBytesMax);
  }

  handle(request: IncomingMessage, response: ServerResponse, mustContinue = false): void {
    void this.#answer(request, response, mustContinue); // It catches all that answering can throw.
  }

  async #answer(request: IncomingMessage, response: ServerResponse, mustContinue: boolean): Promise<void> {
    try {
      if (isCrossSite(request.headers)) {
        const { origin = 'another site', host = '' } = request.headers;
        throw commonErrors.CROSS_SITE({ origin, host });
      } else if (request.method === 'OPTIONS') {
        answerHandshake(response);
      } else if (request.method !== 'POST') {
        response.setHeader('allow', 'POST, OPTIONS');
        refuse(response, 405, `${request.method} is not allowed: POST an event`);
      } else {
        const broker = this.#find(request.url ?? '/', response);
        if (broker) await this.#accept(broker, request, response, mustContinue);
      }
    } catch (error) {
      this.#refuseWith(error, response);
    }
  }

  #find(url: string, response: ServerResponse): BrokerRuntime | undefined {
    const query = url.indexOf('?');
    const path = query < 0 ? url : url.slice(0, query);
    const segments = path.split('/');
    const [, namespace, name] = segments;
    if (path === '/') {
      refuse(response, 404, 'brokers are at /<namespace>/<name>');
      return undefined;
    }
    if (segments.length !== 3 || !namespace || !name) {
      refuse(response, 400, `the path ${path} names no broker: use /<namespace>/<name>`);
      return undefined;
    }
    const found = this.#options.find(namespace, name);
    if (found instanceof KittiwakeError) throw found;
    return found;
  }

  async #accept(
    broker: BrokerRuntime,
    request: IncomingMessage,
    response: ServerResponse,
    mustContinue: boolean,
  ): Promise<void> {
    const { clock, metrics } = this.#options;
    const body = await this.#readBody(request, response, mustContinue);
    if (!body) return;
    const startedMs = clock.monotonic();
    const event = this.#stamped(decodeHttp(request.rawHeaders, body));
    await broker.accept({ event, headers: passThrough(request.rawHeaders) });
    response.writeHead(202, accepted).end();
    metrics.accepted(broker.name, (clock.monotonic() - startedMs) / 1000);
  }

  /** The event as it is stored: with its time of arrival, and with one entry less to live. */
  #stamped(event: CloudEvent): CloudEvent {
    const ttl = nextTtl(event.attributes);
    if (ttl <= 0) throw invalidEvent(`${ttlAttribute} is used up: the event goes round in a loop`);
    event.attributes.knativearrivaltime = new Date(this.#options.clock.now()).toISOString();
    event.attributes[ttlAttribute] = ttl;
    return event;
  }

  /** The whole body, or undefined when the producer went away. */
  #readBody(request: IncomingMessage, response: ServerResponse, mustContinue: boolean): Promise<Buffer | undefined> {
    const limitBytes = this.#options.eventBytesMax;
    return new Promise((resolve, reject) => {
      const bytes = new GrowingBuffer();
      let taken = 0;
      const release = () => {
        this.#bodies.giveBack(taken);
        taken = 0;
      };
      const giveUp = (error: KittiwakeError) => {
        request.removeAllListeners('data');
        request.resume();
        release();
        reject(error);
      };
      const tooLarge = () => eventErrors.EVENT_TOO_LARGE({ limitBytes });
      if (Number(request.headers['content-length'] ?? 0) > limitBytes) return reject(tooLarge());
      if (mustContinue) response.writeContinue();
      request.on('data', (chunk: Buffer) => {
        if (!this.#bodies.tryTake(chunk.length)) {
          return giveUp(eventErrors.BROKER_BUSY({ heldBytes: this.#bodies.held }));
        }
        taken += chunk.length;
        if (bytes.length + chunk.length > limitBytes) return giveUp(tooLarge());
        bytes.push(chunk);
      });
      request.on('end', () => {
        release();
        resolve(bytes.whole());
      });
      request.on('close', () => {
        release();
        resolve(undefined);
      });
      // What follows is 'close', which gives up.
      request.on('error', () => {});
    });
  }

  #refuseWith(error: unknown, response: ServerResponse): void {
    if (response.headersSent) {
      this.#options.log.error({ err: error }, 'a request failed after its answer');
      return;
    }
    if (!(error instanceof KittiwakeError)) {
      this.#options.log.error({ err: error }, 'event not accepted');
      refuse(response, 500, 'the broker failed: its log says why');
      return;
    }
    this.#options.metrics.refused(error.code);
    if (error.status === 503 || error.status === 507) response.setHeader('retry-after', retryAfterSeconds);
    refuse(response, error.status, `${error.code}: ${error.message}`);
  }
}

const accepted = { 'content-length': '0' };

/** The abuse protection handshake of HTTP webhooks for CloudEvents, §4: any origin may send, at any rate. */
function answerHandshake(response: ServerResponse): void {
  response.writeHead(200, {
    allow: 'POST, OPTIONS',
    'webhook-allowed-origin': '*',
    'webhook-allowed-rate': '*',
    'content-length': '0',
  });
  response.end();
}

function refuse(response: ServerResponse, status: number, message: string): void {
  if (response.headersSent || response.destroyed) return;
  // What is left of the body is not worth reading: the connection ends here.
  if (!response.req.complete) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${message}\n`);
}
