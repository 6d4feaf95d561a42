import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Endpoint } from './endpoint.ts';

describe('an endpoint', () => {
  it('is an address, ready and idle at first', () => {
    const { host, port, protocol, inFlight, isReady, restsUntilMs, pool } = new Endpoint('10.0.0.1', 81);
    const expected = ['10.0.0.1', 81, 'http1', 0, true, 0, undefined];
    assert.deepEqual([host, port, protocol, inFlight, isReady, restsUntilMs, pool], expected);
  });

  it('rests after failed connects, twice as long each time up to half a second, until one succeeds', () => {
    const endpoint = new Endpoint('127.0.0.1', 80);
    const rests = Array.from({ length: 9 }, () => endpoint.connectFailed(1000));
    assert.deepEqual(rests, [5, 10, 20, 40, 80, 160, 320, 500, 500]);
    assert.equal(endpoint.restsUntilMs, 1500);
    endpoint.connectSucceeded();
    assert.equal(endpoint.restsUntilMs, 0);
    assert.equal(endpoint.connectFailed(2000), 5);
  });
});
