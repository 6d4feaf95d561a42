/** Clients and origins of each protocol, all with the same face: what a test says of one pair holds for the others. */
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request as httpRequest, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2';
import { type AddressInfo, connect, createServer } from 'node:net';
import { host } from './fixture.ts';
import { type FrameHandler, type FrameHead, FrameLink, type FrameStream, preface } from './frames/link.ts';

export interface Ask {
  method?: string;
  path?: string;
  /** Complete lines. */
  fields?: string;
  /** Of the body; none unless given, -1 for one that streams. */
  bodyBytes?: number;
}

/** One request as its client sees it. */
export interface Asked {
  interims: number[];
  status: number;
  text: string;
  trailers: string;
  isEnded: boolean;
  /** It ended without its end. */
  isCut: boolean;
  /** Returns false when what was written stands still. */
  write(text: string): boolean;
  end(trailers?: string): void;
  abort(): void;
  /** Takes nothing of the reply until `read`. */
  pause(): void;
  read(): void;
}

export interface Client {
  ask(ask?: Ask): Asked;
  close(): void;
}

/** One request as its origin sees it. */
export interface Call {
  method: string;
  path: string;
  text: string;
  trailers: string;
  isEnded: boolean;
  isAborted: boolean;
  /** Takes nothing of the body until `read`. */
  pause(): void;
  read(): void;
  interim(): void;
  /** `bodyBytes` is -1 for one that only its end bounds. */
  reply(status: number, bodyBytes: number): void;
  /** Returns false when what was written stands still. */
  write(text: string): boolean;
  end(trailers?: string): void;
  /** Ends it in its midst. */
  cut(): void;
  /** Closes the connection that it came on. */
  hangUp(): void;
}

export interface Origin {
  port: number;
  calls: Call[];
  /** How many connections it has accepted. */
  accepted: number;
  close(): void;
}

export const connectClient = { http1: http1Client, frames: framesClient };
export const startOrigin = { http1: http1Origin, frames: framesOrigin, h2c: h2cOrigin };

const lines = (trailers: NodeJS.Dict<string>) =>
  Object.entries(trailers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

const pairs = (fields: string): [string, string][] =>
  fields
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);

function http1Client(port: number): Client {
  const agent = new Agent({ keepAlive: true });
  return {
    ask({ method = 'GET', path = '/', fields = '', bodyBytes = 0 } = {}) {
      const framing = bodyBytes === -1 ? { 'transfer-encoding': 'chunked' } : { 'content-length': bodyBytes };
      const headers = { host, ...framing, ...Object.fromEntries(pairs(fields)) };
      const outgoing = httpRequest({ agent, port, host: '127.0.0.1', method, path, headers });
      let incoming: import('node:http').IncomingMessage | undefined;
      let isPaused = false;
      const asked: Asked = {
        ...{ interims: [], status: 0, text: '', trailers: '', isEnded: false, isCut: false },
        write: (text) => outgoing.write(text),
        end(trailers = '') {
          if (trailers !== '') outgoing.addTrailers(pairs(trailers));
          outgoing.end();
        },
        abort: () => outgoing.destroy(),
        pause() {
          isPaused = true;
        },
        read: () => incoming?.resume(),
      };
      outgoing.on('information', ({ statusCode }) => asked.interims.push(statusCode));
      outgoing.on('error', () => {
        asked.isCut = true;
      });
      outgoing.on('response', (response) => {
        incoming = response;
        asked.status = response.statusCode ?? 0;
        response.on('data', (bytes) => {
          asked.text += bytes;
        });
        response.on('error', () => {
          asked.isCut = true;
        });
        response.on('end', () => {
          asked.trailers = lines(response.trailers);
          asked.isEnded = true;
        });
        if (isPaused) response.pause();
      });
      outgoing.flushHeaders();
      if (bodyBytes === 0) outgoing.end();
      return asked;
    },
    close: () => agent.destroy(),
  };
}

/** What a stream's own end does with it: collects what comes, and grants more as it is read. */
class Collector implements FrameHandler {
  text = '';
  trailers = '';
  isEnded = false;
  isReset = false;
  stream: FrameStream | undefined;
  readonly #onHead: (head: FrameHead) => void;
  #isPaused = false;

  constructor(onHead: (head: FrameHead) => void) {
    this.#onHead = onHead;
  }

  onHead(head: FrameHead): void {
    this.#onHead(head);
  }

  onData(data: Buffer): void {
    this.text += data.toString();
    if (!this.#isPaused) this.stream?.grant();
  }

  onEnd(trailers: string): void {
    this.trailers = trailers;
    this.isEnded = true;
  }

  onReset(): void {
    this.isReset = true;
  }

  onWritable(): void {}

  pause(): void {
    this.#isPaused = true;
  }

  read(): void {
    this.#isPaused = false;
    this.stream?.grant();
  }
}

/** All requests go over one connection. */
function framesClient(port: number): Client {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const link = new FrameLink(socket, () => undefined);
  let lastId = 0;
  socket.write(preface);
  socket.on('data', (bytes) => link.read(bytes));
  socket.on('drain', () => link.onDrain());
  socket.on('error', () => {}); // Being cut off is among the things that tests look for.
  socket.on('close', () => {
    for (const { handler } of link.streams.values()) handler?.onReset();
  });
  return {
    ask({ method = 'GET', path = '/', fields = '', bodyBytes = 0 } = {}) {
      const interims: number[] = [];
      let final = 0;
      const collector = new Collector(({ status = 0 }) => {
        if (status < 200) interims.push(status);
        else final = status;
      });
      const stream = link.open(++lastId, collector);
      collector.stream = stream;
      const length = bodyBytes > 0 ? `Content-Length: ${bodyBytes}\r\n` : '';
      stream.sendHead({
        method,
        target: path,
        host,
        fields: bodyBytes === 0 ? `${fields}${length}` : fields,
        bodyBytes,
      });
      if (bodyBytes === 0) stream.end('');
      return {
        interims,
        get status() {
          return final;
        },
        get text() {
          return collector.text;
        },
        get trailers() {
          return collector.trailers;
        },
        get isEnded() {
          return collector.isEnded;
        },
        get isCut() {
          return collector.isReset;
        },
        write(text) {
          stream.write(Buffer.from(text));
          return !stream.isFull;
        },
        end: (trailers = '') => stream.end(trailers),
        abort: () => stream.reset(),
        pause: () => collector.pause(),
        read: () => collector.read(),
      };
    },
    close: () => socket.destroy(),
  };
}

async function http1Origin(onCall: (call: Call) => void): Promise<Origin> {
  const server = createHttpServer((incoming, response: ServerResponse) => {
    const call: Call = {
      ...{ method: incoming.method ?? '', path: incoming.url ?? '', text: '', trailers: '' },
      ...{ isEnded: false, isAborted: false },
      pause: () => incoming.pause(),
      read: () => incoming.resume(),
      interim: () => response.writeEarlyHints({ link: '</a.css>; rel=preload' }),
      reply(status, bodyBytes) {
        response.writeHead(status, bodyBytes === -1 ? { trailer: 't' } : { 'content-length': bodyBytes });
        response.flushHeaders();
      },
      write: (text) => response.write(text),
      end(trailers = '') {
        if (trailers !== '') response.addTrailers(pairs(trailers));
        response.end();
      },
      cut: () => incoming.socket.destroy(),
      hangUp: () => incoming.socket.destroy(),
    };
    incoming.on('data', (bytes) => {
      call.text += bytes;
    });
    incoming.on('end', () => {
      call.trailers = lines(incoming.trailers);
      call.isEnded = true;
    });
    incoming.on('error', () => {}); // The gateway leaves: `close` below tells.
    response.on('close', () => {
      if (!response.writableFinished) call.isAborted = true;
    });
    origin.calls.push(call);
    onCall(call);
  });
  const origin: Origin = {
    ...{ port: 0, calls: [], accepted: 0 },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  server.on('connection', () => origin.accepted++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin.port = (server.address() as AddressInfo).port;
  return origin;
}

async function framesOrigin(onCall: (call: Call) => void): Promise<Origin> {
  const links = new Set<FrameLink>();
  const server = createServer({ noDelay: true }, (socket) => {
    origin.accepted++;
    let hasPreface = false;
    const link = new FrameLink(socket, (stream) => {
      const collector = new Collector(({ method = '', target = '' }) => {
        const call: Call = {
          ...{ method, path: target },
          get text() {
            return collector.text;
          },
          get trailers() {
            return collector.trailers;
          },
          get isEnded() {
            return collector.isEnded;
          },
          get isAborted() {
            return collector.isReset;
          },
          pause: () => collector.pause(),
          read: () => collector.read(),
          interim: () => stream.sendHead({ status: 103, reason: '', fields: 'Link: </a.css>\r\n', bodyBytes: 0 }),
          reply(status, bodyBytes) {
            const fields = bodyBytes === -1 ? '' : `Content-Length: ${bodyBytes}\r\n`;
            stream.sendHead({ status, reason: '', fields, bodyBytes });
          },
          write(text) {
            stream.write(Buffer.from(text));
            return !stream.isFull;
          },
          end(trailers = '') {
            stream.end(trailers);
            stream.close();
          },
          cut: () => stream.reset(),
          hangUp: () => socket.destroy(),
        };
        origin.calls.push(call);
        onCall(call);
      });
      collector.stream = stream;
      return collector;
    });
    links.add(link);
    socket.on('data', (bytes) => {
      link.read(hasPreface ? bytes : bytes.subarray(preface.length));
      hasPreface = true;
    });
    socket.on('drain', () => link.onDrain());
    socket.on('error', () => {}); // The gateway leaves: `close` tells.
    socket.on('close', () => {
      for (const { handler } of link.streams.values()) handler?.onReset();
    });
  });
  const origin: Origin = {
    ...{ port: 0, calls: [], accepted: 0 },
    close() {
      server.close();
      for (const { socket } of links) socket.destroy();
    },
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin.port = (server.address() as AddressInfo).port;
  return origin;
}

async function h2cOrigin(onCall: (call: Call) => void): Promise<Origin> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createHttp2Server();
  server.on('session', (session) => {
    origin.accepted++;
    sessions.add(session);
    session.on('error', () => {}); // The gateway leaves: the streams tell.
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    let trailersOut = '';
    const call: Call = {
      ...{ method: headers[':method'] ?? '', path: headers[':path'] ?? '', text: '', trailers: '' },
      ...{ isEnded: false, isAborted: false },
      pause: () => stream.pause(),
      read: () => stream.resume(),
      interim: () => stream.additionalHeaders({ ':status': 103, link: '</a.css>; rel=preload' }),
      reply(status, bodyBytes) {
        const length = bodyBytes === -1 ? {} : { 'content-length': bodyBytes };
        stream.respond({ ':status': status, ...length }, { waitForTrailers: true });
      },
      write: (text) => stream.write(text),
      end(trailers = '') {
        trailersOut = trailers;
        stream.end();
      },
      cut: () => stream.close(2),
      hangUp: () => stream.session?.destroy(),
    };
    stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(pairs(trailersOut))));
    stream.on('data', (bytes) => {
      call.text += bytes;
    });
    stream.on('trailers', (trailers) => {
      call.trailers = lines(trailers as NodeJS.Dict<string>);
    });
    stream.on('end', () => {
      call.isEnded = true;
    });
    stream.on('error', () => {}); // `close` tells.
    stream.on('close', () => {
      if (!stream.writableFinished || stream.rstCode !== 0) call.isAborted = true;
    });
    origin.calls.push(call);
    onCall(call);
  });
  const origin: Origin = {
    ...{ port: 0, calls: [], accepted: 0 },
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin.port = (server.address() as AddressInfo).port;
  return origin;
}
