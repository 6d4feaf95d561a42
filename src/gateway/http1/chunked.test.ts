import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ChunkedReader } from './chunked.ts';
import { defaultMessageLimits } from './limits.ts';
import { HttpSyntaxError } from './syntax.ts';

/** Feeds `pieces`; returns what was passed on, and what was left behind the body's end. */
function run(pieces: readonly string[]): { passed: string; left: string; isDone: boolean; bodyBytes: number } {
  const reader = new ChunkedReader();
  let passed = '';
  let left = '';
  const sink = {
    onChunked(bytes: Buffer, start: number, end: number) {
      assert.ok(start < end, 'nothing empty is passed on');
      passed += bytes.toString('latin1', start, end);
    },
    onChunkedEnd(tail: string) {
      passed += tail;
    },
  };
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    if (reader.isDone) left += piece;
    else left += bytes.toString('latin1', reader.read(bytes, 0, sink, defaultMessageLimits));
  }
  return { passed, left, isDone: reader.isDone, bodyBytes: reader.bodyBytes };
}

const data = fc.string({ unit: fc.constantFrom(...'ab\r\n0;:\0\xff'), minLength: 1, maxLength: 40 });
const chunk = fc.record({
  data,
  extension: fc.constantFrom('', ';a', ';a=b', ';a="b;c"', '; a = b'),
  isUpper: fc.boolean(),
  zeros: fc.nat(3),
});
const trailers = fc.array(fc.constantFrom('A: b', 'X-T:', 'y: \xe9'), { maxLength: 3 });

describe('the chunked reader', () => {
  it('drops trailers that would change what the message means', () => {
    const forbidden =
      'Content-Length: 5\r\nTransfer-Encoding: x\r\nHost: b\r\nAuthorization: c\r\nKnative-Serving-Revision: d\r\n';
    assert.equal(run([`0\r\n${forbidden}A: b\r\n\r\n`]).passed, '0\r\nA: b\r\n\r\n');
  });

  const refused: [name: string, body: string, why: RegExp][] = [
    ['2^53, which is the first that is not exact', '20000000000000\r\n', /size is too large/],
    ['more than 2^53 behind zeros', '0020000000000001\r\n', /size is too long/],
    ['2^56', 'ffffffffffffff\r\n', /size is too large/],
    ['zeros without an end', '000000000000000\r\n', /size is too long/],
  ];
  for (const [name, body, why] of refused) {
    it(`refuses a size of ${name}`, () => {
      assert.throws(() => run([body]), { name: 'HttpSyntaxError', status: 400, message: why });
    });
  }

  it('takes the largest size that is exact', () => {
    assert.equal(run(['1fffffffffffff\r\nabc']).isDone, false);
  });

  it('refuses chunks that are little but extensions, however many chunks share them', () => {
    const chunk = `1;${'x'.repeat(100)}\r\na\r\n`;
    assert.throws(() => run([chunk.repeat(50)]), { status: 400, message: /extension is too long/ });
    const signed = `400;${'x'.repeat(100)}\r\n${'a'.repeat(1024)}\r\n`;
    assert.equal(run([`${signed.repeat(200)}0\r\n\r\n`]).isDone, true);
  });

  const limits: [what: string, body: (bytes: number) => string, max: number, why: RegExp][] = [
    ['an extension', (n) => `1;${'x'.repeat(n - 1)}\r\na\r\n`, 4096, /extension is too long/],
    [
      'an extension behind a chunk that outweighs all before',
      (n) => `2;x\r\nab\r\n1;${'x'.repeat(n - 1)}\r\na\r\n`,
      4096,
      /extension is too long/,
    ],
    [
      'the trailer section',
      (n) => `0\r\nA:${'x'.repeat(n - 6)}\r\n\r\n`,
      16_384,
      /trailer section is longer than 16384/,
    ],
    ['a trailer section without an end', (n) => `0\r\n${'x'.repeat(n)}`, 16_384, /trailer section is longer/],
    [
      'a trailer section of many lines',
      (n) => `0\r\n${'A:bc\r\n'.repeat(200)}B:${'x'.repeat(n - 1206)}\r\n\r\n`,
      16_384,
      /trailer section is longer/,
    ],
  ];
  for (const [what, bodyOf, max, why] of limits) {
    it(`takes ${what} of ${max} bytes, and not of one more`, () => {
      assert.ok(run([bodyOf(max)]).passed.length > 0);
      assert.throws(() => run([bodyOf(max + 1)]), { name: 'HttpSyntaxError', message: why });
    });
  }

  it('begins anew whatever it was at', () => {
    const tails: string[] = [];
    const sink = { onChunked() {}, onChunkedEnd: (tail: string) => tails.push(tail) };
    const body = Buffer.from('1;x\r\na\r\n0\r\nA: b\r\n\r\n');
    const starts = [
      '00000000000000',
      '5\r\nab',
      `0;${'x'.repeat(4000)}`,
      `0;${'x'.repeat(4094)}\r`,
      '0\r\nA: b\r\nno',
      '0\r\n\r\n',
    ];
    for (const start of starts) {
      const reader = new ChunkedReader();
      reader.read(Buffer.from(start), 0, sink, defaultMessageLimits);
      reader.begin();
      assert.deepEqual([reader.isDone, reader.bodyBytes], [false, 0]);
      assert.equal(reader.read(body, 0, sink, defaultMessageLimits), body.length, JSON.stringify(start));
      assert.deepEqual([reader.isDone, reader.bodyBytes, tails.at(-1)], [true, 1, 'A: b\r\n\r\n']);
    }
    const reader = new ChunkedReader();
    reader.read(body, 0, sink, defaultMessageLimits);
    reader.begin();
    assert.throws(() => reader.read(Buffer.from('\r\n'), 0, sink, defaultMessageLimits), /hexadecimal/);
    reader.begin();
    const longest = Buffer.from(`1;${'x'.repeat(4095)}\r\n`);
    assert.equal(reader.read(longest, 0, sink, defaultMessageLimits), longest.length);
  });

  it('is not read past its end', () => {
    const reader = new ChunkedReader();
    const sink = { onChunked() {}, onChunkedEnd() {} };
    reader.read(Buffer.from('0\r\n\r\n'), 0, sink, defaultMessageLimits);
    assert.throws(() => reader.read(Buffer.from('0'), 0, sink, defaultMessageLimits), /past its end/);
  });

  it('passes any body on unchanged but for extensions, split at any bytes, and stops at its end', () => {
    fc.assert(
      fc.property(
        fc.array(chunk, { maxLength: 6 }),
        trailers,
        fc.string({ maxLength: 8, unit: fc.constantFrom(...'GET \r\n0') }),
        fc.array(fc.nat(400), { maxLength: 8 }),
        (chunks, fields, behind, cuts) => {
          const size = (length: number, isUpper: boolean, zeros: number) => {
            const digits = length.toString(16);
            return '0'.repeat(zeros) + (isUpper ? digits.toUpperCase() : digits);
          };
          const end = `0\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n`;
          const body = (hasExtension: boolean) =>
            chunks
              .map((one) => {
                const head = size(one.data.length, one.isUpper, one.zeros) + (hasExtension ? one.extension : '');
                return `${head}\r\n${one.data}\r\n`;
              })
              .join('');
          const write = (hasExtension: boolean) => body(hasExtension) + end;
          const text = write(true) + behind;
          const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
          const pieces = at.slice(1).map((end, index) => text.slice(at[index], end));
          const { passed, left, isDone, bodyBytes } = run(pieces);
          assert.equal(passed, write(false));
          assert.equal(left, behind);
          assert.ok(isDone);
          assert.equal(
            bodyBytes,
            chunks.reduce((sum, one) => sum + one.data.length, 0),
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses the same bytes however they are split', () => {
    const piece = fc.constantFrom('3\r\nabc\r\n', '0\r\n', '\r\n', 'a', '\n', ' ', ';', 'G: h\r\n', '\0', '5', '-');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const outcome = (parts: readonly string[]) => {
          try {
            const { passed, isDone, left } = run(parts);
            return { passed, isDone, left };
          } catch (error) {
            assert.ok(error instanceof HttpSyntaxError, String(error));
            return error.message;
          }
        };
        const text = pieces.join('');
        assert.deepEqual(outcome([text]), outcome([...text]));
      }),
      { numRuns: 1000 },
    );
  });
});
