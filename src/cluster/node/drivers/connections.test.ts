import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countEstablished, withoutLoopback } from './connections.ts';

test('only established connections to the given local ports count', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:5208 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:D2F0 0100007F:5208 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0100007F:5208 0100007F:D2F2 06 00000000:00000000 00:00000000 00000000     0        0 4
  14: 0000000000000000FFFF00000100007F:5208 0000000000000000FFFF00000100007F:D2F4 08 00000000:00000000 00:0 0
`;
  assert.equal(countEstablished(table, [0x5208]), 2);
  assert.equal(countEstablished(table, [80]), 0);
});

test('connections within a pod, over its loopback, are none that a pod is drained of', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5208 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 2
   1: 0500F40A:5208 0100F40A:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 3
   2: 00000000000000000000000001000000:5208 00000000000000000000000001000000:D2F4 01 00000000:00000000 00:0 0
   3: 0000000000000000FFFF00000100007F:5208 0000000000000000FFFF00000100007F:D2F4 01 00000000:00000000 00:0 0
   4: 0000000000000000FFFF00000500F40A:5208 0000000000000000FFFF00000100F40A:D2F4 08 00000000:00000000 00:0 0
`;
  assert.equal(countEstablished(table, [0x5208]), 5);
  assert.equal(countEstablished(withoutLoopback(table), [0x5208]), 2);
});
