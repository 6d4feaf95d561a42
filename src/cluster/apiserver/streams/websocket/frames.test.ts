import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientFrame } from '../testing/clients.ts';
import { frameHead, readFrames, WebSocketError } from './frames.ts';

async function* chunksOf(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let at = 0;
  // Copies: what is read is unmasked in place.
  for (const place of places) {
    if (place > at) yield Buffer.from(bytes.subarray(at, place));
    at = place;
  }
}

/** The messages that are read, as `opcode:payload`. */
async function messages(bytes: Buffer, cuts: readonly number[] = []): Promise<string[]> {
  const found: string[] = [];
  let parts: Buffer[] = [];
  for await (const frame of readFrames(chunksOf(bytes, cuts))) {
    if (frame.type !== 'piece') {
      found.push(`${frame.type}:${frame.bytes.toString('hex')}`);
      continue;
    }
    if (frame.isFirst) parts = [];
    parts.push(frame.bytes);
    if (frame.isLast) found.push(`${frame.isText ? 'text' : 'binary'}:${Buffer.concat(parts).toString('hex')}`);
  }
  return found;
}

test('messages are read whole, however they are masked, split into frames and cut on their way', async () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
  const mask = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((array) => Buffer.from(array));
  const message = fc.record({
    isText: fc.boolean(),
    parts: fc.array(bytes(300), { minLength: 1, maxLength: 4 }),
    mask,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 8 }), async (list, cuts) => {
      const sent = list.map(({ isText, parts, mask: key }) =>
        Buffer.concat(
          parts.map((part, i) => {
            const opcode = i > 0 ? 0 : isText ? 1 : 2;
            return clientFrame(opcode, part, { mask: key, isFinal: i === parts.length - 1 });
          }),
        ),
      );
      const expected = list.map(
        ({ isText, parts }) => `${isText ? 'text' : 'binary'}:${Buffer.concat(parts).toString('hex')}`,
      );
      assert.deepEqual(await messages(Buffer.concat(sent), cuts), expected);
    }),
    { numRuns: 200 },
  );
});

test('a long message comes in pieces as it arrives: nothing waits for its end', async () => {
  const frame = clientFrame(2, Buffer.alloc(200_000, 7));
  const sizes: number[] = [];
  for await (const piece of readFrames(chunksOf(frame, [1, 10, 50_000, 150_000]))) sizes.push(piece.bytes.length);
  assert.ok(sizes.length >= 3 && Math.max(...sizes) <= 100_000, String(sizes));
});

test('control frames may stand between the parts of a message', async () => {
  const sent = Buffer.concat([
    clientFrame(2, Buffer.from('a'), { isFinal: false }),
    clientFrame(9, Buffer.from('hi')),
    clientFrame(0, Buffer.from('b')),
    clientFrame(8, Buffer.from([3, 232])),
  ]);
  assert.deepEqual(await messages(sent, [3, 9, 14]), ['ping:6869', 'binary:6162', 'close:03e8']);
});

const hostile: Record<string, Buffer> = {
  'a frame without a mask': Buffer.from([0x82, 1, 65]),
  'reserved bits': Buffer.from([0xc2, 0x80, 0, 0, 0, 0]),
  'an unknown opcode': Buffer.from([0x83, 0x80, 0, 0, 0, 0]),
  'an unknown control opcode': Buffer.from([0x8b, 0x80, 0, 0, 0, 0]),
  'a ping in parts': clientFrame(9, Buffer.alloc(0), { isFinal: false }),
  'a ping that is too long': clientFrame(9, Buffer.alloc(126)),
  'a continuation of nothing': clientFrame(0, Buffer.from('x')),
  'a message within a message': Buffer.concat([
    clientFrame(2, Buffer.from('x'), { isFinal: false }),
    clientFrame(2, Buffer.from('y')),
  ]),
  'a length beyond all numbers': Buffer.concat([Buffer.from([0x82, 0xff]), Buffer.alloc(12, 0xff)]),
};

for (const [what, bytes] of Object.entries(hostile)) {
  test(`${what} is no WebSocket`, async () => {
    await assert.rejects(messages(bytes), WebSocketError);
  });
}

test('whatever bytes come, they are read or refused, never anything else', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 4 }), async (bytes, cuts) => {
      try {
        await messages(Buffer.from(bytes), cuts);
      } catch (error) {
        assert.ok(error instanceof WebSocketError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('the lengths of frames are told in 1, 2 or 8 bytes', () => {
  assert.deepEqual([...frameHead(2, 125)], [0x82, 125]);
  assert.deepEqual([...frameHead(2, 126)], [0x82, 126, 0, 126]);
  assert.deepEqual([...frameHead(1, 65_535)], [0x81, 126, 255, 255]);
  assert.deepEqual([...frameHead(2, 65_536)], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
});
