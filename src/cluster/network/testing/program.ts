/** What runs in a test's pod: it listens and asks as it is told by its parent's messages. */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

export interface Order {
  id: number;
  do: 'listen' | 'ask';
  protocol: 'tcp' | 'udp';
  host: string;
  port: number;
  /** The address to ask from. */
  from?: string | undefined;
  /** Who does not answer by then does not answer. */
  limitMs?: number | undefined;
}

export interface Answer {
  id: number;
  text?: string;
  error?: string;
}

const name = process.argv[2] ?? '';
process.on('message', (order: Order) => {
  const work = { listen, ask }[order.do];
  work(order).then(
    (text) => process.send?.({ id: order.id, text }),
    (error) => process.send?.({ id: order.id, error: error.code ?? error.message }),
  );
});
process.on('disconnect', () => process.exit(0));

/** Answers whoever connects with its own name and who that is. */
function listen({ protocol, host, port }: Order): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  if (protocol === 'udp') {
    const socket = createSocket('udp4', (_message, from) =>
      socket.send(`${name} ${from.address}`, from.port, from.address),
    );
    socket.once('error', reject).bind(port, host, () => resolve(''));
  } else {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write(`${name} ${socket.remoteAddress}`));
    });
    server.once('error', reject).listen(port, host, () => resolve(''));
  }
  return promise;
}

function ask({ protocol, host, port, from, limitMs = 1_000 }: Order): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timeout = setTimeout(() => reject(new Error('no answer')), limitMs);
  let end: () => void;
  if (protocol === 'udp') {
    const socket = createSocket('udp4', (message) => resolve(String(message)));
    end = () => socket.close();
    socket.on('error', reject);
    socket.connect(port, host, () => socket.send('?'));
  } else {
    const socket = connect({ host, port, ...(from !== undefined && { localAddress: from }) });
    end = () => socket.destroy();
    socket.on('error', reject);
    socket.on('connect', () => socket.write('?'));
    socket.on('data', (data) => resolve(String(data)));
  }
  return promise.finally(() => {
    clearTimeout(timeout);
    end();
  });
}
