import type { ToyProgram } from './toy-driver.ts';

/** Programs for the toy driver, by their name in a container's command. */
export const toyPrograms: Readonly<Record<string, ToyProgram>> = {
  /** print TEXT: ends with 0. */
  async print({ args, stdout }) {
    stdout.write(args[0] ?? '');
    return 0;
  },
  async complain({ args, stderr }) {
    stderr.write(args[0] ?? '');
    return 0;
  },
  /** env NAME */
  async env({ args, environment, stdout }) {
    stdout.write(environment[args[0] ?? ''] ?? '');
    return 0;
  },
  exit: async ({ args }) => Number(args[0]),
  wait: () => new Promise(() => {}),
  /** Copies its input to its output. */
  async cat({ stdin, stdout }) {
    for await (const chunk of stdin) stdout.write(chunk);
    return 0;
  },
  /** echo PORT: gives back what each connection sends, to its end. */
  async echo({ args, listen, stdout }) {
    await listen(Number(args[0]), (socket) => socket.pipe(socket));
    stdout.write('listening\n');
    return new Promise(() => {});
  },
  /** web PORT: answers with the request's line, to say who was asked for what. */
  async web({ args, environment, listen, stdout }) {
    await listen(Number(args[0]), (socket) => {
      socket.on('end', () => socket.end());
      socket.once('data', (chunk: Buffer) => {
        const [line = ''] = chunk.toString('latin1').split('\r\n');
        stdout.write(`${line}\n`);
        const body = JSON.stringify(environment);
        socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
      });
    });
    return new Promise(() => {});
  },
  /** Prints the size of its terminal whenever that changes. */
  size: ({ onResize, stdout }) =>
    new Promise(() => {
      onResize(({ columns, rows }) => stdout.write(`${columns}x${rows}\n`));
    }),
};
