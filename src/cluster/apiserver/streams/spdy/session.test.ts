import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { until } from '../../../../lib/testing/until.ts';
import { SpdyTestClient } from '../testing/clients.ts';
import { acceptSpdy } from './accept.ts';
import { frames, readFrames, SpdyError } from './frames.ts';
import { SpdySession, type SpdyStream } from './session.ts';

describe('the server of a SPDY session', () => {
  const clients: SpdyTestClient[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  async function connect(onStream: (stream: SpdyStream) => boolean = () => true) {
    const client = new SpdyTestClient('v4.channel.k8s.io');
    clients.push(client);
    const streams: SpdyStream[] = [];
    const { transport } = acceptSpdy(client.raw.upgrade, ['v4.channel.k8s.io']);
    const session = new SpdySession(transport, (stream) => {
      const isTaken = onStream(stream);
      if (isTaken) streams.push(stream);
      return isTaken;
    });
    const served = session.serve().then(
      () => 'ended',
      (error: unknown) => error,
    );
    await client.follow();
    return { client, streams, session, served, transport };
  }

  const opened = async (streams: SpdyStream[], count = 1): Promise<SpdyStream> => {
    await until(() => streams.length === count, `${count} streams`);
    return streams[count - 1] as SpdyStream;
  };

  test('streams are opened with headers of one compressed history, answered, and carry data both ways', async () => {
    const { client, streams } = await connect();
    for (const [i, type] of ['error', 'stdin', 'stdout'].entries()) {
      await client.open(1 + 2 * i, { streamtype: type, port: '80' });
    }
    await opened(streams, 3);
    assert.deepEqual(
      streams.map((stream) => [stream.id, stream.headers.get('streamtype')]),
      [
        [1, 'error'],
        [3, 'stdin'],
        [5, 'stdout'],
      ],
    );
    await until(() => client.has('syn-reply', 5), 'replied');
    const reading = streams[1]?.toArray();
    client.send(3, 'in');
    client.send(3, 'put', true);
    assert.equal(Buffer.concat((await reading) ?? []).toString(), 'input');
    streams[2]?.end('output');
    await until(() => client.hasEnded(5), 'the end');
    assert.equal(client.text(5), 'output');
  });

  test('a stream that nobody reads holds back the connection, and its end ends everything all the same', async () => {
    const { client, streams, served, transport } = await connect();
    await client.open(1, {});
    const stream = await opened(streams);
    const sent = 50;
    for (let i = 0; i < sent; i++) client.send(1, Buffer.alloc(64 * 1024));
    await until(() => stream.readableLength >= 64 * 1024, 'the first of it');
    assert.ok(stream.readableLength < 512 * 1024, `${stream.readableLength} bytes are held`);
    assert.ok(client.raw.socket.writableLength > 0);
    client.raw.socket.destroy();
    transport.destroy();
    await until(() => stream.destroyed, 'lost');
    await served;
  });

  test('a reset loses the stream, at either side, and no other', async () => {
    const { client, streams } = await connect();
    await client.open(1, {});
    await client.open(3, {});
    await opened(streams, 2);
    client.raw.socket.write(frames.rstStream(1, 5));
    await until(() => streams[0]?.destroyed, 'the first is lost');
    streams[1]?.destroy();
    await until(() => client.has('rst-stream', 3), 'the second is given up');
    await client.open(5, {});
    assert.equal((await opened(streams, 3)).destroyed, false);
  });

  test('pings of the client are answered, those of the server have even numbers', async () => {
    const { client, session } = await connect();
    client.raw.socket.write(Buffer.concat([frames.ping(7), frames.ping(4)]));
    await session.beat();
    await until(() => client.frames.filter(({ type }) => type === 'ping').length === 2, 'two pings');
    const ids = client.frames.flatMap((frame) => (frame.type === 'ping' ? frame.id : []));
    assert.deepEqual(ids.sort(), [2, 7]);
  });

  test('a stream that is refused is reset, as are data for none', async () => {
    const { client } = await connect(() => false);
    await client.open(1, {});
    client.send(9, 'x');
    await until(() => client.has('rst-stream', 1) && client.has('rst-stream', 9), 'both are reset');
  });

  test('a peer without SETTINGS is sent whatever the connection takes: Kubernetes keeps no windows', async () => {
    const { client, streams } = await connect();
    await client.open(1, {});
    const stream = await opened(streams);
    stream.end(Buffer.alloc(300_000, 'x'));
    await until(() => client.hasEnded(1), 'all of it');
    assert.equal(client.text(1).length, 300_000);
  });

  test('a peer that says its window is sent no more until it takes more, and told what was taken', async () => {
    const { client, streams } = await connect();
    client.raw.socket.write(frames.settings(1000));
    await client.open(1, {});
    const stream = await opened(streams);
    stream.resume();
    stream.end(Buffer.alloc(2500, 'x'));
    await until(() => client.text(1).length === 1000, 'the window');
    client.raw.socket.write(frames.windowUpdate(1, 1000));
    await until(() => client.text(1).length === 2000, 'another');
    assert.equal(client.hasEnded(1), false);
    client.raw.socket.write(frames.settings(2000));
    await until(() => client.hasEnded(1), 'all of it');
    await client.open(3, {});
    (await opened(streams, 2)).resume();
    client.send(3, 'twelve bytes');
    await until(() => client.frames.some((f) => f.type === 'window-update' && f.delta === 12), 'it was taken');
    client.raw.socket.write(Buffer.concat([frames.windowUpdate(3, 0x7fffffff), frames.windowUpdate(3, 5)]));
    await until(() => client.has('rst-stream', 3), 'a window beyond all bounds');
  });

  test('at most a thousand streams are open at once', async () => {
    const { client, streams } = await connect();
    const block = await client.block({});
    const rest = await client.block({});
    const opening = Array.from({ length: 1001 }, (_, i) => frames.synStream(1 + 2 * i, i === 0 ? block : rest));
    client.raw.socket.write(Buffer.concat(opening.slice(0, 2)));
    for (let i = 2; i <= 1000; i++) await client.open(1 + 2 * i, {});
    await until(() => client.has('rst-stream', 2001), 'one too many');
    assert.equal(streams.length, 1000);
    assert.equal(client.has('rst-stream', 1999), false);
  });

  const head = (type: number, length: number) =>
    Buffer.from([0x80, 3, 0, type, 0, length >> 16, (length >> 8) & 255, length & 255]);
  const bomb = () => {
    // A block of 16 MiB in some 16 kB. It needs no dictionary, which a reader that has one forgives.
    const packed = deflateSync(Buffer.alloc(16 * 1024 * 1024));
    return frames.synStream(1, packed);
  };
  const hostile: Record<string, () => Buffer | Promise<Buffer>> = {
    'another version': () => Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]),
    'a control frame of megabytes': () => head(1, 0xffffff),
    'a control frame that is too short': () => Buffer.concat([head(3, 2), Buffer.alloc(2)]),
    'SETTINGS that count more than they hold': () => Buffer.concat([head(4, 4), Buffer.from([255, 255, 255, 255])]),
    'headers that are not compressed': () => frames.synStream(1, Buffer.from('not zlib at all')),
    'headers that unpack to megabytes': bomb,
    'headers that count more than they hold': () => frames.synStream(1, deflateSync(Buffer.from([0, 0, 0, 9]))),
    'a header of four gigabytes': () =>
      frames.synStream(1, deflateSync(Buffer.from([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]))),
    'a stream with a number of the server': () => frames.synStream(2, deflateSync(Buffer.alloc(4))),
  };
  for (const [what, bytes] of Object.entries(hostile)) {
    test(`${what}: the session ends, in words`, async () => {
      const { client, served, streams } = await connect();
      client.raw.socket.write(await bytes());
      const error = await served;
      assert.ok(error instanceof SpdyError, String(error));
      assert.deepEqual(streams, []);
    });
  }

  test('a number of a stream is used once', async () => {
    const { client, served } = await connect();
    await client.open(3, {});
    await client.open(1, {});
    assert.match(String(await served), /opened with the number 1/);
  });
});

test('whatever bytes come, they are frames or refused, never anything else', async () => {
  const read = async (bytes: Uint8Array) => {
    for await (const _ of readFrames(
      (async function* () {
        yield Buffer.from(bytes);
      })(),
    ));
  };
  const frame = fc
    .tuple(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 40 }))
    .map(([type, body]) => Buffer.concat([Buffer.from([0x80, 3, 0, type, 0, 0, 0, body.length]), body]));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 100 }), frame), async (bytes) => {
      await read(bytes).catch((error) => assert.ok(error instanceof SpdyError, String(error)));
    }),
    { numRuns: 1000 },
  );
});
