import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { ChunkedReader } from './chunked.ts';
import { ChunkedDecoder } from './chunked-decoder.ts';
import { defaultMessageLimits } from './limits.ts';

/** What a sink is given of a coded body that arrives in pieces of `pieceBytes`. */
function decoded(coded: string, pieceBytes: number) {
  const got = { pieces: [] as string[], trailers: [] as string[] };
  const decoder = new ChunkedDecoder({
    isFull: false,
    write: (bytes) => got.pieces.push(bytes.toString('latin1')),
    end: (trailers) => got.trailers.push(trailers),
    cork() {},
    uncork() {},
  });
  const reader = new ChunkedReader();
  for (let at = 0; at < coded.length; at += pieceBytes) {
    reader.read(Buffer.from(coded.slice(at, at + pieceBytes), 'latin1'), 0, decoder, defaultMessageLimits);
  }
  return got;
}

it('a chunked body is decoded however its bytes arrive, and its trailers are told once', () => {
  const chunk = fc.record({
    data: fc.string({ unit: fc.constantFrom(...'a\r\n0;\xff'), minLength: 1, maxLength: 40 }),
    extension: fc.constantFrom('', ';a=b'),
    isUpper: fc.boolean(),
    zeros: fc.nat(2),
  });
  fc.assert(
    fc.property(
      fc.array(chunk),
      fc.constantFrom('', 'A: b\r\n'),
      fc.integer({ min: 1, max: 60 }),
      (chunks, tail, size) => {
        const coded = chunks.map(({ data, extension, isUpper, zeros }) => {
          const digits = data.length.toString(16);
          return `${'0'.repeat(zeros)}${isUpper ? digits.toUpperCase() : digits}${extension}\r\n${data}\r\n`;
        });
        const { pieces, trailers } = decoded(`${coded.join('')}0\r\n${tail}\r\n`, size);
        assert.equal(pieces.join(''), chunks.map(({ data }) => data).join(''));
        assert.deepEqual(trailers, [tail]);
        assert.ok(pieces.every((piece) => piece !== ''));
      },
    ),
  );
});

it('a chunk that arrives at once is given at once', () => {
  assert.deepEqual(decoded('1F\r\n0123456789012345678901234567890\r\n2\r\nab\r\n0\r\n\r\n', 100).pieces, [
    '0123456789012345678901234567890',
    'ab',
  ]);
});
