import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ipv4Block, ipv4Number, ipv4Text, isInBlock } from './ipv4.ts';

test('an address is a number and back, and what is none is none', () => {
  for (const text of ['0.0.0.0', '10.96.0.10', '127.255.0.1', '255.255.255.255']) {
    assert.equal(ipv4Text(ipv4Number(text) as number), text);
  }
  assert.equal(ipv4Number('10.96.0.10'), 0x0a60000a);
  for (const text of ['', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '::1', ' 1.2.3.4']) {
    assert.equal(ipv4Number(text), undefined, text);
  }
});

test('a block begins at its address, and holds what is in it', () => {
  const block = ipv4Block('10.96.0.0/16');
  assert.deepEqual(block, { base: 0x0a600000, size: 65_536 });
  assert.ok(block && isInBlock(block, '10.96.255.255') && isInBlock(block, '10.96.0.0'));
  assert.ok(!isInBlock(block, '10.97.0.0') && !isInBlock(block, '10.95.255.255') && !isInBlock(block, 'fd00::1'));
  for (const cidr of ['10.96.0.1/16', '10.96.0.0', '10.96.0.0/33', '10.96.0.0/-1', '10.96.0.0/16/1', 'fd00::/64']) {
    assert.equal(ipv4Block(cidr), undefined, cidr);
  }
});
