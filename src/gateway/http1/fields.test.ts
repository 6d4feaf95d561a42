import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldWalker, fieldValue, listHas, withoutFields } from './fields.ts';
import { defaultMessageLimits } from './limits.ts';

function walk(text: string, start = 0, fieldCount = 256): [name: string, value: string, line: string][] {
  const walker = new FieldWalker();
  walker.begin(text, start, { ...defaultMessageLimits, fieldCount });
  const seen: [string, string, string][] = [];
  while (walker.next()) {
    const { lineStart, nameEnd, valueStart, valueEnd, lineEnd } = walker;
    assert.ok(lineStart < nameEnd && nameEnd < valueStart && valueStart <= valueEnd && valueEnd < lineEnd);
    seen.push([text.slice(lineStart, nameEnd), walker.value(), text.slice(lineStart, lineEnd)]);
  }
  return seen;
}

describe('the walker of fields', () => {
  const sections: [text: string, fields: [name: string, value: string, line: string][]][] = [
    ['\r\n', []],
    ['A: b\r\n\r\n', [['A', 'b', 'A: b\r\n']]],
    ['A:\r\n\r\n', [['A', '', 'A:\r\n']]],
    ['A: \t \r\n\r\n', [['A', '', 'A: \t \r\n']]],
    ['A:\t b c\t \r\n\r\n', [['A', 'b c', 'A:\t b c\t \r\n']]],
    [
      'a:b\r\nC: :d\xff\r\n\r\nE: f\r\n',
      [
        ['a', 'b', 'a:b\r\n'],
        ['C', ':d\xff', 'C: :d\xff\r\n'],
      ],
    ],
  ];
  for (const [text, fields] of sections) {
    it(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(walk(text), fields);
      assert.deepEqual(walk(`GET\n${text}`, 4), fields);
    });
  }

  it('tells a field by its whole name, in any case, and joins what several lines of it say', () => {
    const walker = new FieldWalker();
    walker.begin('x\r\nTE: a\r\ntea: b\r\n\r\n', 3, defaultMessageLimits);
    walker.next();
    assert.deepEqual([walker.is('te'), walker.is('tf'), walker.is('t'), walker.is('tea')], [true, false, false, false]);
    assert.equal(walker.joined(''), 'a');
    walker.next();
    assert.deepEqual([walker.is('te'), walker.is('tea')], [false, true]);
    assert.equal(walker.joined('a'), 'a, b');
  });

  const refused: [text: string, why: string][] = [
    ['\rA', 'a CR stands alone'],
    [' A: b\r\n\r\n', 'a header line is folded (obs-fold)'],
    ['\tA: b\r\n\r\n', 'a header line is folded (obs-fold)'],
    ['A : b\r\n\r\n', 'there is whitespace between the header field name A and its colon'],
    ['A\t: b\r\n\r\n', 'there is whitespace between the header field name A and its colon'],
    [': b\r\n\r\n', 'a header field has no name'],
    ['A\r\n\r\n', 'a header line has no colon'],
    ['A(: b\r\n\r\n', 'a header field name has a character that is not allowed in it'],
    ['(: b\r\n\r\n', 'a header field name has a character that is not allowed in it'],
    ['A', 'a header field name has a character that is not allowed in it'],
    ['A: b\0\r\n\r\n', 'the value of the header field A has a control character in it'],
    ['A: b\rc\r\n\r\n', 'the value of the header field A has a control character in it'],
    ['A: b\0\n\r\n', 'the value of the header field A has a control character in it'],
    ['A: b', 'the value of the header field A has a control character in it'],
  ];
  for (const [text, message] of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => walk(text), { name: 'HttpSyntaxError', status: 400, message });
    });
  }

  it('takes as many fields as there may be in one section, and not one more', () => {
    const two = 'A: b\r\nC: d\r\n\r\n';
    assert.equal(walk(two, 0, 2).length, 2);
    assert.throws(() => walk(two, 0, 1), { status: 431, message: 'there are more than 1 header fields' });
    const walker = new FieldWalker();
    for (let section = 0; section < 2; section++) {
      walker.begin(two, 0, { ...defaultMessageLimits, fieldCount: 2 });
      while (walker.next());
    }
  });

  it('has no field before it begins', () => {
    assert.deepEqual(
      { ...new FieldWalker() },
      { text: '', lineStart: 0, lineEnd: 0, nameEnd: 0, valueStart: 0, valueEnd: 0 },
    );
    assert.throws(() => new FieldWalker().next(), { status: 431 });
  });
});

describe('a list in a field', () => {
  const lists: [list: string, has: boolean][] = [
    ['close', true],
    ['Close', true],
    ['CLOSE, a', true],
    ['a ,close', true],
    ['close,close', true],
    ['', false],
    ['a', false],
    ['aclos', false],
    ['close-not', false],
    ['a, b', false],
  ];
  for (const [list, has] of lists) {
    it(`${has ? 'has' : 'does not have'} close: ${JSON.stringify(list)}`, () =>
      assert.equal(listHas(list, 'close'), has));
  }
});

describe('fields as complete lines', () => {
  const fields = 'A: 1\r\nBb:2 \r\nC: x:y\r\na: 3\r\n';

  it('lose those that are named, whatever their case', () => {
    assert.equal(withoutFields(fields, new Set(['a'])), 'Bb:2 \r\nC: x:y\r\n');
    assert.equal(withoutFields(fields, new Set(['bb', 'c'])), 'A: 1\r\na: 3\r\n');
    assert.equal(withoutFields(fields, new Set(['b', ''])), fields);
    assert.equal(withoutFields('', new Set(['a'])), '');
  });

  it('have the value of the first of a name', () => {
    const found = ['a', 'bb', 'c', 'b', 'x', 'cc'].map((name) => fieldValue(fields, name));
    assert.deepEqual(found, ['1', '2', 'x:y', undefined, undefined, undefined]);
    assert.equal(fieldValue('', 'a'), undefined);
  });
});
