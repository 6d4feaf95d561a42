import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findHeadEnd } from './head-end.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('the end of a head', () => {
  it('is found at the same place however the bytes arrive', () => {
    const line = fc.string({ unit: fc.constantFrom(...'ab: \r'), maxLength: 6 }).map((text) => `${text}x`);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), fc.string({ maxLength: 5 }), (lines, behind) => {
        const head = `${lines.map((text) => `${text}\r\n`).join('')}\r\n`;
        let searched = 0;
        for (let length = 1; length < head.length; length++) {
          assert.equal(findHeadEnd(bytes(head.slice(0, length)), 0, searched), -1);
          searched = length;
        }
        assert.equal(findHeadEnd(bytes(head), 0, searched), head.length);
        assert.equal(findHeadEnd(bytes(head + behind), 0, 0), head.length);
        assert.equal(findHeadEnd(bytes(`zz${head}${behind}`), 2, 2), head.length + 2);
      }),
    );
  });

  it('is refused as soon as a line ends in LF alone', () => {
    for (const text of ['\n', 'a\n', 'a\r\n\n', 'a\r\nb\n']) assert.throws(() => findHeadEnd(bytes(text), 0, 0), /LF/);
  });
});
