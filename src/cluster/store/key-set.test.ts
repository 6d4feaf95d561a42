import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeySet } from './key-set.ts';

test('keys that are appended in whatever order are in order, and further ones find their place', () => {
  const keys = new KeySet();
  for (const key of ['n/c', 'n/a', 'm/z', 'n/b']) keys.append(key);
  assert.deepEqual(keys.slice('n/'), ['n/a', 'n/b', 'n/c']);
  keys.append('n/aa');
  keys.add('n/ab');
  keys.add('n/b');
  keys.delete('n/c');
  assert.deepEqual([...keys.range('')], ['m/z', 'n/a', 'n/aa', 'n/ab', 'n/b']);
  assert.equal(keys.count('n/', 'n/a'), 3);
});
