import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GatewayContext } from '../context.ts';
import { Endpoint } from '../endpoint.ts';
import { defaultLimits } from '../limits.ts';
import { IdleConnections } from './idle-connections.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** What is seen of a connection. */
class Connection {
  isDestroyed = false;
  idleSinceMs: number;
  expiresMs: number;

  constructor(idleSinceMs = 0, expiresMs = Number.POSITIVE_INFINITY) {
    this.idleSinceMs = idleSinceMs;
    this.expiresMs = expiresMs;
  }

  abort(): void {
    this.isDestroyed = true;
  }
}

function poolWith(...connections: Connection[]): IdleConnections {
  const pool = poolOf(new Endpoint('127.0.0.1', 80), 100);
  for (const connection of connections) give(pool, connection);
  return pool;
}

function poolOf(endpoint: Endpoint, idlePerEndpoint: number): IdleConnections {
  return new IdleConnections({ limits: { ...defaultLimits, idlePerEndpoint } } as GatewayContext, endpoint);
}

const give = (pool: IdleConnections, connection: Connection) => pool.give(connection as unknown as UpstreamConnection);
const forget = (pool: IdleConnections, connection: Connection) =>
  pool.forget(connection as unknown as UpstreamConnection);

describe('the connections to an endpoint', () => {
  it('lends the connection that was used last', () => {
    const [older, newer] = [new Connection(1), new Connection(2)];
    const pool = poolWith(older, newer);
    assert.deepEqual([pool.take(3, 10), pool.take(3, 10), pool.take(3, 10)], [newer, older, undefined]);
    assert.equal(pool.idleCount, 0);
  });

  it('lends none that was idle for longer than asked for, or that has expired', () => {
    assert.ok(poolWith(new Connection(5)).take(15, 10));
    assert.equal(poolWith(new Connection(5)).take(16, 10), undefined);
    assert.ok(poolWith(new Connection(5, 16)).take(15, 10));
    assert.equal(poolWith(new Connection(5, 15)).take(15, 10), undefined);
  });

  it('keeps so many idle connections and closes what is given beyond them', () => {
    const [first, second] = [new Connection(), new Connection()];
    const pool = poolOf(new Endpoint('127.0.0.1', 80), 1);
    give(pool, first);
    give(pool, second);
    assert.deepEqual([pool.idleCount, first.isDestroyed, second.isDestroyed], [1, false, true]);
  });

  it('keeps none when the endpoint is not ready', () => {
    const connection = new Connection();
    const endpoint = new Endpoint('127.0.0.1', 80);
    const pool = poolOf(endpoint, 1);
    endpoint.isReady = false;
    give(pool, connection);
    assert.deepEqual([pool.idleCount, connection.isDestroyed], [0, true]);
  });

  it('forgets a connection that has closed, and no other', () => {
    const [first, second, third, stranger] = [new Connection(), new Connection(), new Connection(), new Connection()];
    const pool = poolWith(first, second, third);
    forget(pool, stranger);
    assert.equal(pool.idleCount, 3);
    forget(pool, second);
    forget(pool, first);
    assert.deepEqual([pool.take(0, 0), pool.take(0, 0)], [third, undefined]);
  });

  it('closes those that have expired, wherever they stand', () => {
    const connections = [5, 6, 4, 7, 5].map((expiresMs) => new Connection(0, expiresMs));
    const pool = poolWith(...connections);
    pool.closeExpired(5);
    assert.deepEqual(
      connections.map(({ isDestroyed }) => isDestroyed),
      [true, false, true, false, true],
    );
    assert.equal(pool.idleCount, 2);
  });

  it('closes all that are idle', () => {
    const connections = [new Connection(), new Connection()];
    const pool = poolWith(...connections);
    pool.closeIdle();
    assert.ok(connections.every(({ isDestroyed }) => isDestroyed));
    assert.equal(pool.idleCount, 0);
  });
});
