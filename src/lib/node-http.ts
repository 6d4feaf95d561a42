/**
 * Node's http module without what `import 'node:http'` costs: an import reads every export, and that of WebSocket loads
 * a second HTTP stack (12 MB of resident memory in Node 24). Types still come from `node:http`. Servers of it are bound
 * in what one connection sends without waiting for answers.
 */
import type * as Http from 'node:http';
import type { Socket } from 'node:net';

const http = process.getBuiltinModule('node:http');

export const { Agent, IncomingMessage, request, STATUS_CODES } = http;

export interface ServerOptions extends Http.ServerOptions {
  /** Requests of one connection that wait for their answers: who sends more at once is cut off. 16 unless given. */
  pipelinedMax?: number;
  /** Somebody was. */
  onPipelined?: () => void;
}

const pipelinedMaxDefault = 16;

export function createServer(options: ServerOptions, listener?: Http.RequestListener): Http.Server {
  const { pipelinedMax = pipelinedMaxDefault, onPipelined, ...rest } = options;
  const pipelines = new Pipelines(IncomingMessage, pipelinedMax, onPipelined);
  const server = http.createServer({ ...rest, IncomingMessage: pipelines.Request });
  pipelines.watch(server);
  if (listener) server.on('request', listener);
  return server;
}

/**
 * Bounds what one connection may ask at once. Node reads 64 KiB and makes all requests that are in it, up to 2,600,
 * before it does anything else, also when the socket was destroyed at the first: a few hundred connections that do so
 * hold the event loop for longer than a hung process is waited for, and two gigabytes. So they are counted where Node
 * makes them, also those that it answers by itself, and its parser is stopped at the first that is too many.
 */
export class Pipelines {
  /** For the server's options: `IncomingMessage`, or `Http1IncomingMessage`. */
  readonly Request: typeof Http.IncomingMessage;

  constructor(Base: typeof Http.IncomingMessage, pipelinedMax: number, onPipelined?: () => void) {
    const lines = new WeakMap<Socket, Line>();
    this.Request = class extends Base implements Queued {
      readonly line: Line;

      constructor(socket: Socket) {
        super(socket);
        this.line = lines.get(socket) ?? { waiting: 0 };
        if (this.line.waiting === 0) lines.set(socket, this.line);
        if (++this.line.waiting <= pipelinedMax) return;
        cutOff(socket);
        onPipelined?.();
      }
    };
  }

  /** What is answered does not wait any more. To be called before other listeners are there. */
  watch(server: Http.Server): void {
    let isWatched = false;
    server.on('request', note);
    // Without a listener for it Node goes on to `request`; with one it does not.
    server.on('newListener', (event) => {
      if (event !== 'checkContinue' || isWatched) return;
      isWatched = true;
      server.on('checkContinue', note);
    });
  }
}

/** What one connection has asked and not been answered. */
interface Line {
  waiting: number;
}

interface Queued {
  readonly line: Line;
}

function note(_request: Http.IncomingMessage, response: Http.ServerResponse): void {
  response.once('close', answered);
}

function answered(this: Http.ServerResponse): void {
  const { line } = this.req as Http.IncomingMessage & Partial<Queued>;
  if (line) line.waiting--; // A request of HTTP/2 has none.
}

/**
 * Ends the connection, and stops Node's parser in the middle of what it has read: 2 says that what follows is no HTTP.
 * Not documented, hence checked; where the runtime's insides look different, the rest is parsed for nothing.
 */
function cutOff(socket: Socket): void {
  socket.destroy();
  const { parser } = socket as Socket & { parser?: { onIncoming?: unknown } | null };
  if (typeof parser?.onIncoming === 'function') parser.onIncoming = () => 2;
}
