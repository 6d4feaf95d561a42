import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDnsSubdomain } from '../api/names.ts';
import { gatewayName } from './gateway.ts';

test('a gateway is called after its machine and port, in a name that an object may have', () => {
  assert.equal(gatewayName('Desk.local', 8080), 'gateway-desk-local-8080');
  for (const host of ['a', '_x_', 'ä.b', '', 'x'.repeat(300)]) assert.ok(isDnsSubdomain(gatewayName(host, 1)), host);
});
