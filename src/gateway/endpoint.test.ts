import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Endpoint } from './endpoint.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** What an endpoint sees of a connection. */
class Connection {
  isDestroyed = false;
  idleSinceMs: number;
  expiresMs: number;

  constructor(idleSinceMs = 0, expiresMs = Number.POSITIVE_INFINITY) {
    this.idleSinceMs = idleSinceMs;
    this.expiresMs = expiresMs;
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

function endpointWith(...connections: Connection[]): Endpoint {
  const endpoint = new Endpoint('127.0.0.1', 80);
  for (const connection of connections) give(endpoint, connection, 100);
  return endpoint;
}

const give = (endpoint: Endpoint, connection: Connection, idleMax: number) =>
  endpoint.give(connection as unknown as UpstreamConnection, idleMax);
const forget = (endpoint: Endpoint, connection: Connection) =>
  endpoint.forget(connection as unknown as UpstreamConnection);

describe('an endpoint', () => {
  it('is an address, ready and idle at first', () => {
    const { host, port, inFlight, isReady, restsUntilMs, idleCount } = new Endpoint('10.0.0.1', 81);
    assert.deepEqual([host, port, inFlight, isReady, restsUntilMs, idleCount], ['10.0.0.1', 81, 0, true, 0, 0]);
  });

  it('lends the connection that was used last', () => {
    const [older, newer] = [new Connection(1), new Connection(2)];
    const endpoint = endpointWith(older, newer);
    assert.deepEqual([endpoint.take(3, 10), endpoint.take(3, 10), endpoint.take(3, 10)], [newer, older, undefined]);
    assert.equal(endpoint.idleCount, 0);
  });

  it('lends none that was idle for longer than asked for, or that has expired', () => {
    assert.ok(endpointWith(new Connection(5)).take(15, 10));
    assert.equal(endpointWith(new Connection(5)).take(16, 10), undefined);
    assert.ok(endpointWith(new Connection(5, 16)).take(15, 10));
    assert.equal(endpointWith(new Connection(5, 15)).take(15, 10), undefined);
  });

  it('keeps so many idle connections and closes what is given beyond them', () => {
    const [first, second] = [new Connection(), new Connection()];
    const endpoint = endpointWith();
    give(endpoint, first, 1);
    give(endpoint, second, 1);
    assert.deepEqual([endpoint.idleCount, first.isDestroyed, second.isDestroyed], [1, false, true]);
  });

  it('keeps none when it is not ready', () => {
    const connection = new Connection();
    const endpoint = endpointWith();
    endpoint.isReady = false;
    give(endpoint, connection, 1);
    assert.deepEqual([endpoint.idleCount, connection.isDestroyed], [0, true]);
  });

  it('forgets a connection that has closed, and no other', () => {
    const [first, second, third, stranger] = [new Connection(), new Connection(), new Connection(), new Connection()];
    const endpoint = endpointWith(first, second, third);
    forget(endpoint, stranger);
    assert.equal(endpoint.idleCount, 3);
    forget(endpoint, second);
    forget(endpoint, first);
    assert.deepEqual([endpoint.take(0, 0), endpoint.take(0, 0)], [third, undefined]);
  });

  it('closes those that have expired, wherever they stand', () => {
    const connections = [5, 6, 4, 7, 5].map((expiresMs) => new Connection(0, expiresMs));
    const endpoint = endpointWith(...connections);
    endpoint.closeExpired(5);
    assert.deepEqual(
      connections.map(({ isDestroyed }) => isDestroyed),
      [true, false, true, false, true],
    );
    assert.equal(endpoint.idleCount, 2);
  });

  it('closes all that are idle', () => {
    const connections = [new Connection(), new Connection()];
    const endpoint = endpointWith(...connections);
    endpoint.closeIdle();
    assert.ok(connections.every(({ isDestroyed }) => isDestroyed));
    assert.equal(endpoint.idleCount, 0);
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
