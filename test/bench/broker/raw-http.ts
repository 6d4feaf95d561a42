import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const headEnd = Buffer.from('\r\n\r\n');
const lengthHeader = /\r\ncontent-length: *(\d+)/i;

/**
 * Splits a byte stream into HTTP/1.1 messages with a Content-Length, calling `onMessage` with each head. It costs next
 * to nothing, so that what is measured is what talks to it.
 */
export function messages(onMessage: (head: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (;;) {
      const end = rest.indexOf(headEnd);
      if (end < 0) return;
      const head = rest.toString('latin1', 0, end);
      const total = end + 4 + Number(lengthHeader.exec(head)?.[1] ?? 0);
      if (rest.length < total) return;
      rest = rest.subarray(total);
      onMessage(head);
    }
  };
}

/** Answers every request with 200 and no body, after calling `onRequest`; resolves with the port. */
export function serveOk(onRequest: () => void): Promise<number> {
  const reply = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on(
      'data',
      messages(() => {
        onRequest();
        socket.write(reply);
      }),
    );
    // A peer that goes away at the end of the run is no failure.
    socket.on('error', () => socket.destroy());
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/** One kept connection that has at most one request on its way. */
export class Lane {
  readonly #socket: Socket;
  #onReply: ((status: number) => void) | undefined;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on(
      'data',
      messages((head) => this.#onReply?.(Number(head.slice(9, 12)))),
    );
  }

  send(request: string, onReply: (status: number) => void): void {
    this.#onReply = onReply;
    this.#socket.write(request, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }
}
