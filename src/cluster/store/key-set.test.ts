import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { KeySet } from './key-set.ts';

function setOf(...keys: string[]): KeySet {
  const set = new KeySet();
  for (const key of keys) set.add(key);
  return set;
}

describe('a set of keys', () => {
  const some = ['b/2', 'a/1', 'c', 'a/2', 'b', 'a/3'];
  const ranges: [prefix: string, after: string, keys: string[]][] = [
    ['', '', ['a/1', 'a/2', 'a/3', 'b', 'b/2', 'c']],
    ['a/', '', ['a/1', 'a/2', 'a/3']],
    ['a/', 'a/1', ['a/2', 'a/3']],
    ['a/', 'a/11', ['a/2', 'a/3']],
    ['a/', 'a/3', []],
    ['a/', 'b', []],
    ['a/', 'A', ['a/1', 'a/2', 'a/3']],
    ['b', '', ['b', 'b/2']],
    ['b', 'b', ['b/2']],
    ['', 'b', ['b/2', 'c']],
    ['c', '', ['c']],
    ['d', '', []],
    ['0', '', []],
  ];
  for (const [prefix, after, keys] of ranges) {
    it(`has ${keys.join(' ') || 'nothing'} under ${prefix || 'no prefix'} after ${after || 'nothing'}`, () => {
      const set = setOf(...some);
      assert.deepEqual(set.slice(prefix, after), keys);
      assert.equal(set.count(prefix, after), keys.length);
    });
  }

  it('holds each key once, in order, whatever is added and deleted', () => {
    const key = fc.string({ unit: fc.constantFrom('a', 'b', '/'), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(fc.record({ key, isAdded: fc.boolean() })), key, key, (steps, prefix, after) => {
        const set = new KeySet();
        const model = new Set<string>();
        for (const { key, isAdded } of steps) {
          if (isAdded) set.add(key);
          else set.delete(key);
          if (isAdded) model.add(key);
          else model.delete(key);
        }
        assert.deepEqual(set.slice(''), [...model].sort());
        const expected = [...model].sort().filter((key) => key.startsWith(prefix) && key > after);
        assert.deepEqual(set.slice(prefix, after), expected);
        assert.equal(set.count(prefix, after), expected.length);
      }),
    );
  });

  it('takes a key twice for once, and deletes only what is there', () => {
    const set = setOf('a', 'c', 'a', 'c');
    set.delete('b');
    set.delete('d');
    assert.deepEqual(set.slice(''), ['a', 'c']);
    set.delete('a');
    assert.deepEqual(set.slice(''), ['c']);
  });

  it('puts keys that are appended in whatever order into order, and further ones in their place', () => {
    const keys = new KeySet();
    for (const key of ['n/c', 'n/a', 'm/z', 'n/b']) keys.append(key);
    assert.deepEqual(keys.slice('n/'), ['n/a', 'n/b', 'n/c']);
    keys.append('n/aa');
    keys.add('n/ab');
    keys.add('n/b');
    keys.delete('n/c');
    assert.deepEqual(keys.slice(''), ['m/z', 'n/a', 'n/aa', 'n/ab', 'n/b']);
    assert.equal(keys.count('n/', 'n/a'), 3);
  });
});
