import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ipv4Number, ipv4Text } from '../../lib/ipv4.ts';
import { cidrText, contains, overlap, parseCidr, partsOf } from './cidr.ts';

test('a range is read and written as people do', () => {
  for (const text of ['10.244.0.0/16', '0.0.0.0/0', '255.255.255.255/32', '192.168.1.128/25']) {
    const range = parseCidr(text);
    assert.ok(range, text);
    assert.equal(cidrText(range), text);
  }
});

test('what is no range, or has bits beyond its prefix, is not one', () => {
  const bad = ['', '10.244.0.0', '10.244.0.1/16', '10.244.0.0/33', '10.244.0.0/16/8', '10.244.0/16', '256.0.0.0/8'];
  for (const text of [...bad, '010.0.0.0/8', '10.0.0.0/08', '10.0.0.0/-1', 'fd00::/64', '1e1.0.0.0/8']) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

test('ranges overlap when one has an address of the other', () => {
  const [wide, inside, beside] = ['10.244.0.0/16', '10.244.7.0/24', '10.245.0.0/24'].map((text) => parseCidr(text));
  assert.ok(wide && inside && beside);
  assert.deepEqual([overlap(wide, inside), overlap(inside, wide), overlap(wide, beside)], [true, true, false]);
  assert.equal(contains(inside, ipv4Number('10.244.7.255') ?? 0), true);
  assert.equal(contains(inside, ipv4Number('10.244.8.0') ?? 0), false);
  const parts = [...partsOf(wide, 24)].map(({ first }) => ipv4Text(first));
  assert.deepEqual([parts.length, parts[0], parts.at(-1)], [256, '10.244.0.0', '10.244.255.0']);
});
