import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuantity } from './quantity.ts';

test('quantities have the values that Kubernetes gives them', () => {
  const table: [string | number, number | undefined][] = [
    ['100m', 0.1],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['512Mi', 536_870_912],
    ['1Gi', 1_073_741_824],
    ['1G', 1_000_000_000],
    ['1e3', 1000],
    ['1E', 1e18],
    [2, 2],
    ['0', 0],
    ['-1', -1],
    ['1KB', undefined],
    ['abc', undefined],
    ['', undefined],
    ['1 Gi', undefined],
  ];
  for (const [text, value] of table) assert.equal(parseQuantity(text), value, String(text));
});
