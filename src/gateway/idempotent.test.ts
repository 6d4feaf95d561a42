import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isIdempotent } from './idempotent.ts';

it('a request may be repeated only where twice does what once does', () => {
  const methods = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'POST', 'PATCH', 'get'];
  assert.deepEqual(methods.filter(isIdempotent), ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
});
