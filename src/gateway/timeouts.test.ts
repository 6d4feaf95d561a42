import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { afterwards, type Scope } from '../lib/testing/afterwards.ts';
import { protocols } from './protocols.ts';
import type { Target } from './routes/change.ts';
import type { Upstream } from './sides.ts';
import {
  closing,
  eventually,
  onHeads,
  routesOf,
  startRawOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';
import { poolOf } from './testing/pool.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

const begun = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n';

/** A request that has reached its revision, which says nothing but what a test has it say. */
async function underWay(t: Scope, target: Partial<Target>, more = closing) {
  const clock = new ShiftingClock();
  let upstream: Socket | undefined;
  const origin = await startRawOrigin(t, (socket) =>
    onHeads(socket, () => {
      upstream = socket;
    }),
  );
  const gateway = await startTestGateway(t, routesOf([origin.port], target), { clock });
  const client = gateway.request('GET /', more);
  await eventually(() => upstream !== undefined);
  afterwards(t, () => client.close());
  return { clock, client, say: (text: string) => upstream?.write(text) };
}

describe("timeoutSeconds, from a request's arrival", () => {
  it('does not cut a reply whose first byte was in time', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 10_000 });
    say(`${begun}abc`);
    await client.untilHas('abc');
    await clock.shift(15_000);
    say('def');
    assert.match(await client.ended(), /^HTTP\/1.1 200 OK[\s\S]*\r\n\r\nabcdef$/);
  });

  it('does not cut a reply of which only the head was in time', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 10_000, responseStartTimeoutMs: 5_000 });
    say(begun);
    await client.untilHas('200 OK');
    await clock.shift(15_000);
    say('abcdef');
    assert.match(await client.ended(), /\r\n\r\nabcdef$/);
  });

  it('does not cut a switched protocol', async (t) => {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: x\r\n';
    const { clock, client, say } = await underWay(t, { timeoutMs: 10_000 }, upgrade);
    say('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n');
    await client.untilHas('101');
    await clock.shift(15_000);
    say('still here');
    await client.untilHas('still here');
  });

  it('answers 504 when no reply has begun, whatever interim replies came', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 10_000 });
    say('HTTP/1.1 103 Early Hints\r\n\r\n');
    await client.untilHas('103');
    await clock.shift(15_000);
    const text = await client.ended();
    assert.equal(statusOf(text.slice(text.lastIndexOf('HTTP/1.1 '))), 504);
  });

  it('leaves a request alone that has time', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 10_000 });
    await clock.shift(9_000);
    say(`${begun}abcdef`);
    assert.equal(statusOf(await client.ended()), 200);
  });

  it('goes on while a request waits for a pod', async (t) => {
    const clock = new ShiftingClock();
    const gateway = await startTestGateway(t, routesOf([], { timeoutMs: 10_000 }), { clock });
    const client = gateway.request('GET /');
    await gateway.report(({ queued }) => queued === 1);
    await clock.shift(9_000);
    assert.equal(client.text, '');
    await clock.shift(2_000);
    assert.equal(statusOf(await client.ended()), 504);
    await gateway.report(({ queued }) => queued === 0);
  });
});

describe('responseStartTimeoutSeconds', () => {
  it('is met by an interim reply', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 60_000, responseStartTimeoutMs: 5_000 });
    say('HTTP/1.1 103 Early Hints\r\n\r\n');
    await client.untilHas('103');
    await clock.shift(10_000);
    say(`${begun}abcdef`);
    assert.match(await client.ended(), /200 OK[\s\S]*abcdef$/);
  });

  it('is met by the interim reply to no other request of the connection', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 60_000, responseStartTimeoutMs: 5_000 }, '');
    say(`HTTP/1.1 103 Early Hints\r\n\r\n${begun}abcdef`);
    await client.untilHas('abcdef');
    client.request('GET /');
    await clock.shift(10_000);
    assert.match(await client.ended(), /200 OK[\s\S]*504 Gateway Timeout/);
  });

  it('answers 504 when nothing has come', async (t) => {
    const { clock, client } = await underWay(t, { timeoutMs: 60_000, responseStartTimeoutMs: 5_000 });
    await clock.shift(10_000);
    assert.equal(statusOf(await client.ended()), 504);
  });
});

describe('idleTimeoutSeconds', () => {
  it('runs from the arrival, anew from each byte, and cuts a reply that stands still', async (t) => {
    const { clock, client, say } = await underWay(t, { timeoutMs: 60_000, idleTimeoutMs: 10_000 });
    await clock.shift(8_000);
    say(`${begun}abc`);
    await client.untilHas('abc');
    await clock.shift(8_000);
    say('d');
    await client.untilHas('abcd');
    await clock.shift(12_000);
    assert.match(await client.ended(), /abcd$/);
  });

  it('answers 504 when the revision was silent from the start', async (t) => {
    const { clock, client } = await underWay(t, { timeoutMs: 60_000, idleTimeoutMs: 10_000 });
    await clock.shift(12_000);
    assert.equal(statusOf(await client.ended()), 504);
  });
});

describe('an address that does not answer', () => {
  it('is given up after a while, and another one is tried', async (t) => {
    let abortCount = 0;
    /** A connection that is being made for ever. */
    const silent: Upstream = {
      sink: { isFull: false, write() {}, end() {}, cork() {}, uncork() {} },
      ...{ isConnecting: true, heldBytes: 0, stalledMs: () => 0, send() {}, resume() {} },
      abort: () => abortCount++,
    };
    const upstream = { ...protocols.upstream, silent: () => ({ ...poolOf(() => {}), upstream: () => silent }) };
    const clock = new ShiftingClock();
    const origin = await startRawOrigin(t, (socket) => onHeads(socket, () => socket.write(`${begun}abcdef`)));
    const endpoints = [
      { host: '127.0.0.1', port: 9, protocol: 'silent' },
      { host: '127.0.0.1', port: origin.port },
    ];
    const routes = routesOf([], { endpoints, containerConcurrency: 1 });
    const gateway = await startTestGateway(t, routes, { clock, protocols: { ...protocols, upstream } });
    const client = gateway.request('GET /', closing);
    await gateway.report(({ averageConcurrency }) => averageConcurrency > 0);
    await clock.shift(1_000);
    assert.deepEqual([client.text, abortCount], ['', 0]);
    await clock.shift(2_000);
    assert.equal(statusOf(await client.ended()), 200);
    assert.equal(abortCount, 1);
  });
});

describe('a peer that takes nothing', () => {
  it('is cut off in the end, so that it does not hold a slot for ever', async (t) => {
    const { clock, client, say } = await underWay(t, { containerConcurrency: 1 });
    client.socket.pause();
    say(`HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n`);
    const piece = 'x'.repeat(1 << 20);
    let upstream: unknown;
    for (let round = 0; round < 64; round++) {
      upstream = say(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(upstream, false);
    await clock.shift(299_000);
    assert.equal(client.socket.destroyed, false);
    await clock.shift(302_000);
    client.socket.resume();
    await client.ended();
    assert.ok(client.text.length < 900_000_000);
  });
});
