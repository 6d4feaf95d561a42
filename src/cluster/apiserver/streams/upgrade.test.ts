import assert from 'node:assert/strict';
import { connect as connectTcp, createServer, type Server } from 'node:net';
import { PassThrough } from 'node:stream';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../../lib/clock.ts';
import { until } from '../../../lib/testing/until.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import type { Streams } from '../../pod-streams.ts';
import { errorText, sizeReader, type WantedStreams } from './remote-command.ts';
import { ChannelTestClient, clientFrame, rawClient, SpdyTestClient, webSocketHeaders } from './testing/clients.ts';
import { upgradeToCommand, upgradeToForwarding } from './upgrade.ts';

/** A command that does what the test says. */
class TestCommand implements Streams {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly sizes: string[] = [];
  readonly #exit = Promise.withResolvers<number>();
  readonly exited = this.#exit.promise;
  signal: AbortSignal | undefined;

  start = async (signal: AbortSignal): Promise<Streams> => {
    this.signal = signal;
    signal.addEventListener('abort', () => {
      for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy();
      this.#exit.resolve(137);
    });
    return this;
  };

  resize({ columns, rows }: { columns: number; rows: number }): void {
    this.sizes.push(`${columns}x${rows}`);
  }

  exit(code: number): void {
    this.#exit.resolve(code);
    this.stdout.end();
    this.stderr.end();
  }
}

const all: WantedStreams = { stdin: true, stdout: true, stderr: true, tty: false };
const success = '{"metadata":{},"status":"Success"}';

describe('a command over a connection of its own', () => {
  const open: { raw: { socket: { destroy(): void } } }[] = [];
  afterEach(() => {
    for (const client of open.splice(0)) client.raw.socket.destroy();
  });

  function overChannels(protocol: string, wanted = all, options: { clock?: VirtualClock; idleMs?: number } = {}) {
    const client = new ChannelTestClient(protocol);
    open.push(client);
    const command = new TestCommand();
    const { clock = systemClock, idleMs } = options;
    const done = upgradeToCommand(
      client.raw.upgrade,
      wanted,
      { verb: 'exec', start: command.start },
      { clock, idleMs },
    );
    return { client, command, done };
  }

  async function overSpdy(protocol: string, wanted = all, types = ['error', 'stdin', 'stdout', 'stderr']) {
    const client = new SpdyTestClient(protocol);
    open.push(client);
    const command = new TestCommand();
    const done = upgradeToCommand(
      client.raw.upgrade,
      wanted,
      { verb: 'exec', start: command.start },
      { clock: systemClock },
    );
    await client.follow();
    for (const [i, streamtype] of types.entries()) await client.open(1 + 2 * i, { streamtype });
    return { client, command, done };
  }

  test('over a WebSocket each stream has its channel, and the last says how it ended', async () => {
    const { client, command, done } = overChannels('v5.channel.k8s.io');
    await client.until('it stands', ({ channels }) => channels.has(1));
    client.send(0, 'in');
    client.send(0, 'put');
    client.send(255, Buffer.from([0]));
    assert.equal(Buffer.concat(await command.stdin.toArray()).toString(), 'input');
    command.stdout.write('out');
    command.stderr.write('err');
    command.exit(0);
    await done;
    const { channels, closed } = client.received();
    assert.deepEqual([channels.get(1), channels.get(2), channels.get(3), closed], ['out', 'err', success, 1000]);
  });

  test('over SPDY each stream is one, and the last says how it ended', async () => {
    const { client, command, done } = await overSpdy('v4.channel.k8s.io');
    client.send(3, 'input', true);
    await until(() => command.signal, 'started');
    assert.equal(Buffer.concat(await command.stdin.toArray()).toString(), 'input');
    command.stdout.write('out');
    command.stderr.write('err');
    command.exit(3);
    await done;
    await until(() => client.has('go-away'), 'the end');
    assert.deepEqual([client.text(5), client.text(7)], ['out', 'err']);
    const status = JSON.parse(client.text(1));
    assert.deepEqual(
      [status.reason, status.details.causes],
      ['NonZeroExitCode', [{ reason: 'ExitCode', message: '3' }]],
    );
    for (const id of [1, 5, 7]) assert.ok(client.hasEnded(id));
  });

  test('messages may be text in base64, for clients that have no other', async () => {
    const { client, command, done } = overChannels('base64.channel.k8s.io');
    await until(() => command.signal, 'started');
    client.raw.socket.write(clientFrame(1, Buffer.from(`0${Buffer.from('input').toString('base64')}`)));
    await until(() => command.stdin.readableLength === 5, 'input');
    command.stdout.write('out');
    command.exit(2);
    await done;
    const texts = client.received().texts.map((text) => `${text[0]}${Buffer.from(text.slice(1), 'base64')}`);
    assert.deepEqual(texts, ['1', '1out', '3command terminated with non-zero exit code: exit status 2']);
  });

  test('how it ended is a Status since version 4, and a text on failure before', () => {
    const failure = { metadata: {}, status: 'Failure', message: 'no' } as const;
    assert.equal(errorText({ metadata: {}, status: 'Success' }, 4), success);
    assert.equal(errorText({ metadata: {}, status: 'Success' }, 3), '');
    assert.equal(errorText(failure, 3), 'no');
  });

  test('what cannot be started is told with the words of the kubelet', async () => {
    const client = new ChannelTestClient('v4.channel.k8s.io');
    open.push(client);
    const start = async () => {
      throw new Error('exec: "frob": executable file not found in $PATH');
    };
    await upgradeToCommand(client.raw.upgrade, all, { verb: 'exec', start }, { clock: systemClock });
    const status = JSON.parse(client.received().channels.get(3) ?? '');
    assert.equal(status.reason, 'InternalError');
    assert.match(status.message, /^Internal error occurred: error executing command in container: exec: "frob"/);
  });

  test('a terminal is resized, whatever a client sends as its size', async () => {
    const tty = { stdin: true, stdout: true, stderr: false, tty: true };
    const { client, command } = overChannels('v5.channel.k8s.io', tty);
    await until(() => command.signal, 'started');
    await client.until('it stands', ({ channels }) => channels.has(1));
    for (const text of ['{"Width":80,"Height":24}\n', '{"Width":0,"Height":1}', 'nonsense}', '{"Wid'])
      client.send(4, text);
    client.send(4, 'th":132,"Height":43}{"Width":1e9,"Height":3}');
    await until(() => command.sizes.length === 2, 'two sizes');
    assert.deepEqual(command.sizes, ['80x24', '132x43']);
    const spdy = await overSpdy('v4.channel.k8s.io', tty, ['error', 'stdin', 'stdout', 'resize']);
    spdy.client.send(7, '{"Width":100,"Height":50}');
    await until(() => spdy.command.sizes[0] === '100x50', 'its size');
  });

  test('a size that comes before the command has started is not lost', async () => {
    const client = new ChannelTestClient('v5.channel.k8s.io');
    open.push(client);
    const command = new TestCommand();
    const starting = Promise.withResolvers<void>();
    const start = async (signal: AbortSignal) => {
      await starting.promise;
      return command.start(signal);
    };
    void upgradeToCommand(client.raw.upgrade, all, { verb: 'exec', start }, { clock: systemClock });
    await client.until('it stands', ({ channels }) => channels.has(1));
    client.send(4, '{"Width":80,"Height":24}');
    client.send(4, '{"Width":99,"Height":33}');
    client.send(0, 'x');
    await until(() => client.raw.socket.writableLength === 0);
    await new Promise((resolve) => setImmediate(resolve));
    starting.resolve();
    await until(
      () => command.sizes.at(-1) === '99x33',
      () => command.sizes.join(),
    );
  });

  test('what sizes are not is bounded', () => {
    const sizes: unknown[] = [];
    const read = sizeReader((size) => sizes.push(size));
    for (let i = 0; i < 1000; i++) read(Buffer.alloc(10_000, '{'));
    read(Buffer.from('{"Width":2,"Height":3}'));
    assert.ok(sizes.length <= 1);
  });

  test('a command that does not read holds its client back, and one that reads no more does not', async () => {
    const { client, command, done } = overChannels('v5.channel.k8s.io');
    await until(() => command.signal, 'started');
    const message = Buffer.alloc(60_000, 'x');
    for (let i = 0; i < 60; i++) client.send(0, message);
    await until(() => command.stdin.writableNeedDrain, 'it is full');
    assert.ok(client.raw.socket.writableLength > 1_000_000);
    command.stdin.destroy();
    await until(() => client.raw.socket.writableLength === 0, 'the rest is dropped');
    command.exit(0);
    await done;
  });

  test('a client that does not read holds its command back', async () => {
    const { client, command } = overChannels('v5.channel.k8s.io');
    client.raw.socket.pause();
    await until(() => command.signal, 'started');
    let written = 0;
    while (command.stdout.write(Buffer.alloc(60_000)) || (await drainedSoon(command.stdout))) written++;
    assert.ok(written < 50, `${written} pieces`);
    client.raw.socket.resume();
    await until(() => !command.stdout.writableNeedDrain, 'it goes on');
  });

  for (const [what, connect] of [
    ['a WebSocket', async () => overChannels('v5.channel.k8s.io')],
    ['SPDY', () => overSpdy('v4.channel.k8s.io')],
  ] as const) {
    test(`a client that vanishes ends its command, over ${what}`, async () => {
      const { client, command, done } = await connect();
      const signal = await until(() => command.signal, 'started');
      client.raw.socket.destroy();
      client.raw.upgrade.socket.destroy();
      await until(() => signal.aborted, 'ended');
      await done;
    });
  }

  test('what breaks the protocol ends the command', async () => {
    const { client, command, done } = overChannels('v5.channel.k8s.io');
    const signal = await until(() => command.signal, 'started');
    client.raw.socket.write(Buffer.from([0x82, 3, 0, 65, 66]));
    await until(() => signal.aborted, 'ended');
    await client.until('closed', ({ closed }) => closed === 1002);
    client.raw.socket.destroy();
    await done;
  });

  test('output that something left behind keeps open is waited for only while it says something', async () => {
    const clock = new VirtualClock(0);
    const { client, command, done } = overChannels('v5.channel.k8s.io', all, { clock });
    await until(() => command.signal, 'started');
    const { exit } = command;
    command.stdout.write('before');
    command.stdout.end = () => command.stdout;
    exit.call(command, 0);
    await client.until('before', ({ channels }) => channels.get(1) === 'before');
    await clock.advance(900);
    command.stdout.write(' after');
    await client.until('after', ({ channels }) => channels.get(1) === 'before after');
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    await until(async () => {
      await clock.advance(500);
      return isDone;
    }, 'its end');
    assert.equal(client.received().channels.get(3), success);
  });

  test('who is silent is told now and then that the server lives, and is left after the idle time', async () => {
    const clock = new VirtualClock(0);
    const { client, command, done } = overChannels('v5.channel.k8s.io', all, { clock, idleMs: 60_000 });
    const signal = await until(() => command.signal, 'started');
    const pongs = () => client.raw.said().toString('latin1').split('\x8a\x00').length - 1;
    await clock.advance(25_000);
    await until(() => pongs() === 2, 'two signs of life');
    client.send(0, 'x');
    await until(() => command.stdin.readableLength === 1, 'it was read');
    await clock.advance(50_000);
    assert.equal(signal.aborted, false);
    await clock.advance(30_000);
    await done;
    assert.equal(signal.aborted, true);
  });

  const refused: [string, Record<string, string>, RegExp][] = [
    ['nothing known', { upgrade: 'h2c' }, /Upgrade request required/],
    ['an unknown channel protocol', webSocketHeaders('v9.channel.k8s.io'), /asks for "v9.channel.k8s.io"/],
    ['no key', { ...webSocketHeaders(''), 'sec-websocket-key': 'x' }, /not a WebSocket handshake/],
    ['an old version', { ...webSocketHeaders(''), 'sec-websocket-version': '8' }, /not a WebSocket handshake/],
    [
      'an unknown SPDY protocol',
      { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v9' },
      /client supports \[v9\], server accepts \[v4.channel.k8s.io/,
    ],
  ];
  for (const [what, headers, message] of refused) {
    test(`a client that asks for ${what} is refused before anything is written`, async () => {
      const raw = rawClient(headers);
      open.push({ raw });
      const { start } = new TestCommand();
      await assert.rejects(
        upgradeToCommand(raw.upgrade, all, { verb: 'exec', start }, { clock: systemClock }),
        message,
      );
      assert.equal(raw.said().length, 0);
    });
  }

  test('a client that asks for SPDY and makes no streams is left after a while', async () => {
    const clock = new VirtualClock(0);
    const client = new SpdyTestClient('v4.channel.k8s.io');
    open.push(client);
    const { start } = new TestCommand();
    const done = upgradeToCommand(client.raw.upgrade, all, { verb: 'exec', start }, { clock });
    await client.follow();
    await clock.advance(30_000);
    await done;
  });
});

const drainedSoon = (stream: PassThrough) =>
  new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), 200);
    stream.once('drain', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });

describe('forwarding of ports', () => {
  let server: Server;
  let port: number;
  const open: { raw: { socket: { destroy(): void } } }[] = [];
  before(async () => {
    // Says what it was sent, backwards, once all of it is there: half-closed connections have to work.
    server = createServer({ allowHalfOpen: true }, async (socket) => {
      socket.on('error', () => {});
      let text = '';
      for await (const chunk of socket) text += chunk;
      socket.end([...text].reverse().join(''));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as { port: number }).port;
  });
  after(() => server.close());
  afterEach(() => {
    for (const client of open.splice(0)) client.raw.socket.destroy();
  });

  const forwarding = {
    pod: 'p, uid u',
    clock: systemClock,
    async connect(asked: number) {
      if (asked !== 80) throw new Error('connection refused');
      const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
      await new Promise((resolve) => socket.once('connect', resolve));
      return socket;
    },
  };

  test('each connection is a pair of streams, and what goes wrong is told on the second', async () => {
    const client = new SpdyTestClient('portforward.k8s.io');
    open.push(client);
    const done = upgradeToForwarding(client.raw.upgrade, forwarding, { clock: systemClock });
    await client.follow();
    for (const [id, requestid, asked] of [
      [1, '0', '80'],
      [5, '1', '81'],
      [9, '2', '80'],
    ] as const) {
      await client.open(id, { streamtype: 'error', port: asked, requestid });
      await client.open(id + 2, { streamtype: 'data', port: asked, requestid });
    }
    client.send(3, 'abc', true);
    client.send(11, 'x'.repeat(100_000), true);
    await until(() => client.hasEnded(3) && client.hasEnded(11) && client.hasEnded(5), 'all ended');
    assert.deepEqual([client.text(3), client.text(11).length], ['cba', 100_000]);
    assert.equal(client.text(5), 'error forwarding port 81 to pod p, uid u: connection refused');
    await until(() => client.hasEnded(1) && client.hasEnded(9), 'nothing went wrong');
    assert.equal(client.text(1), '');
    client.raw.socket.destroy();
    client.raw.upgrade.socket.destroy();
    await done;
  });

  test('streams for no port, of no type or twice are refused', async () => {
    const client = new SpdyTestClient('portforward.k8s.io');
    open.push(client);
    void upgradeToForwarding(client.raw.upgrade, forwarding, { clock: systemClock });
    await client.follow();
    const bad = [
      { streamtype: 'data' },
      { streamtype: 'data', port: '0' },
      { streamtype: 'data', port: '65536' },
      { streamtype: 'data', port: '-1' },
      { streamtype: 'other', port: '80' },
    ];
    for (const [i, headers] of bad.entries()) await client.open(1 + 2 * i, headers);
    await client.open(21, { streamtype: 'data', port: '80', requestid: 'a' });
    await client.open(23, { streamtype: 'data', port: '80', requestid: 'a' });
    for (const id of [1, 3, 5, 7, 9, 23]) await until(() => client.has('rst-stream', id), `stream ${id} is refused`);
    assert.equal(client.has('rst-stream', 21), false);
  });

  test('over a WebSocket by itself each port has two channels, which begin with its number', async () => {
    const client = new ChannelTestClient('v4.channel.k8s.io', 'ports=80,81');
    open.push(client);
    const done = upgradeToForwarding(client.raw.upgrade, forwarding, { clock: systemClock });
    await client.until('what went wrong', ({ channels }) => (channels.get(3)?.length ?? 0) > 2);
    const { channels } = client.received();
    assert.deepEqual([channels.get(0), channels.get(1), channels.get(2)], ['P\0', 'P\0', 'Q\0']);
    assert.match(channels.get(3) ?? '', /^Q\0error forwarding port 81 to pod p, uid u: connection refused$/);
    client.send(0, 'abc');
    client.raw.socket.write(clientFrame(8, Buffer.from([3, 232])));
    await done;
  });

  test('a WebSocket by itself needs its ports', async () => {
    for (const query of ['', 'ports=x', 'ports=0', 'ports=80,,81']) {
      const client = new ChannelTestClient('v4.channel.k8s.io', query);
      open.push(client);
      await assert.rejects(
        upgradeToForwarding(client.raw.upgrade, forwarding, { clock: systemClock }),
        /not one of SPDY/,
      );
    }
  });
});
