import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { Scope } from '../lib/testing/afterwards.ts';
import {
  closing,
  eventually,
  isLeft,
  ok,
  onHeads,
  requestText,
  routesOf,
  startRawOrigin,
  startReplyOrigin,
  startTestGateway,
  statusOf,
} from './testing/fixture.ts';
import { ShiftingClock } from './testing/shifting-clock.ts';

const bad: [name: string, reply: string, why: RegExp][] = [
  ['is not HTTP', 'SSH-2.0-x\r\n\r\n', /status line/],
  ['has another version', 'HTTP/2.0 200 OK\r\n\r\n', /status line/],
  ['has no status', 'HTTP/1.1 OK\r\n\r\n', /status line/],
  ['has a long status', 'HTTP/1.1 2000 OK\r\n\r\n', /status line/],
  ['has a bare LF', 'HTTP/1.1 200 OK\n\n', /LF without CR/],
  ['is folded', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n', /folded/],
  ['has a bad field name', 'HTTP/1.1 200 OK\r\nA b: c\r\n\r\n', /whitespace/],
  ['has a control character', 'HTTP/1.1 200 OK\r\nA: \0\r\n\r\n', /control character/],
  ['has both framings', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', /both/],
  ['has an empty coding and a length', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding:\r\n\r\na', /both/],
  ['has an empty coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\n', /not chunked/],
  ['has two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', /differ/],
  ['has a bad length', 'HTTP/1.1 200 OK\r\nContent-Length: a\r\n\r\n', /not a number/],
  ['has another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n', /not chunked/],
  ['is chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', /not chunked/],
  ['switches protocols unasked', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n', /nobody asked/],
  ['has too long a head', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(70_000)}\r\n\r\n`, /longer than 65536/],
  ['has a head without an end', `HTTP/1.1 200 OK\r\nA: ${'b'.repeat(70_000)}`, /longer than 65536/],
];

describe('a reply from upstream', () => {
  for (const [name, reply, why] of bad) {
    it(`that ${name} becomes a 502 that says so, and its connection is closed`, async (t) => {
      const origin = await startReplyOrigin(t, reply);
      const gateway = await startTestGateway(t, routesOf([origin.port]));
      const text = await gateway.exchange('GET /');
      assert.equal(statusOf(text), 502, text);
      assert.match(text, why);
      assert.match(text, /revision default\/hello-00001 did not give a valid reply/);
      await eventually(() => isLeft(origin));
    });
  }

  it('that does not come because the connection ends becomes a 502', async (t) => {
    const origin = await startRawOrigin(t, (socket) => onHeads(socket, () => socket.end()));
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    assert.equal(statusOf(await gateway.exchange('GET /')), 502);
    assert.equal(origin.accepted, 1, 'a request that was sent on a new connection is not sent again');
  });

  const cut: [name: string, reply: string][] = [
    ['with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc'],
    ['in chunks, between two', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'],
    ['in chunks, then malformed', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd'],
  ];
  for (const [name, reply] of cut) {
    it(`${name} that is cut short cuts the client's connection, so that it knows`, async (t) => {
      const origin = await startRawOrigin(t, (socket) => onHeads(socket, () => socket.end(reply)));
      const gateway = await startTestGateway(t, routesOf([origin.port]));
      const client = gateway.request('GET /');
      const text = await client.ended();
      assert.match(text, /200 OK/);
      assert.doesNotMatch(text, /0\r\n\r\n$/);
    });
  }

  it('with bytes behind it is passed on without them, and its connection is not used again', async (t) => {
    const origin = await startReplyOrigin(t, `${ok}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /');
    await client.untilHas('ok');
    client.request('GET /', closing);
    assert.doesNotMatch(await client.ended(), /poison/);
    assert.equal(origin.accepted, 2);
  });

  it('that comes unasked on an idle connection closes it and reaches nobody', async (t) => {
    const origin = await startReplyOrigin(t);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /');
    await client.untilHas('ok');
    const [idle] = origin.sockets;
    idle?.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison');
    await eventually(() => isLeft(origin));
    client.request('GET /', closing);
    assert.doesNotMatch(await client.ended(), /poison/);
  });
});

describe('an idle connection that upstream closes just as a request goes out', () => {
  /** Answers the first request; closes instead of answering the second one, as a server does whose timeout has come. */
  const startStaleOrigin = (t: Scope, heads: string[]) =>
    startRawOrigin(t, (socket, number) => {
      let count = 0;
      onHeads(socket, (head) => {
        heads.push(head.slice(0, head.indexOf('\r\n')));
        if (number === 1 && ++count === 2) socket.destroy();
        else socket.write(ok);
      });
    });

  it('costs an idempotent request nothing: it is sent again', async (t) => {
    const heads: string[] = [];
    const origin = await startStaleOrigin(t, heads);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /1');
    await client.untilHas('ok');
    client.request('GET /2', closing);
    assert.equal((await client.ended()).split('200 OK').length, 3);
    assert.deepEqual(heads, ['GET /1 HTTP/1.1', 'GET /2 HTTP/1.1', 'GET /2 HTTP/1.1']);
  });

  it('fails a POST with 502: it may have been acted on', async (t) => {
    const heads: string[] = [];
    const origin = await startStaleOrigin(t, heads);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /1');
    await client.untilHas('ok');
    client.request('POST /2', 'Content-Length: 0\r\n');
    assert.match(await client.ended(), /HTTP\/1.1 502/);
    assert.deepEqual(heads, ['GET /1 HTTP/1.1', 'POST /2 HTTP/1.1']);
  });

  const big = 100_000;
  const unsafe: [name: string, request: string, rest: string][] = [
    ['PUT with a body that streams', requestText('PUT /2', `Content-Length: ${big}\r\n${closing}`), 'x'.repeat(big)],
    ['DELETE with a body that streams', requestText('DELETE /2', `Content-Length: 3\r\n${closing}`), 'abc'],
    [
      'PUT with a body in chunks',
      requestText('PUT /2', `Transfer-Encoding: chunked\r\n${closing}`, '3\r\nabc\r\n'),
      '0\r\n\r\n',
    ],
    ['POST', requestText('POST /2', `Content-Length: 3\r\n${closing}`, 'abc'), ''],
    ['PATCH without a body', requestText('PATCH /2', closing), ''],
  ];
  for (const [name, request, rest] of unsafe) {
    it(`is not used for a ${name}, which could not be sent again`, async (t) => {
      const heads: string[] = [];
      const origin = await startStaleOrigin(t, heads);
      const clock = new ShiftingClock();
      const gateway = await startTestGateway(t, routesOf([origin.port]), { clock });
      const client = gateway.request('GET /1');
      await client.untilHas('ok');
      await clock.shift(1_500);
      client.send(request);
      await eventually(() => heads.length === 2);
      client.send(rest);
      assert.equal((await client.ended()).split('200 OK').length, 3);
      assert.equal(origin.accepted, 2);
      assert.equal(heads.length, 2, 'it was sent once');
    });
  }

  it('costs a PUT nothing whose small body came with its head: all of it is sent again, once', async (t) => {
    const heads: string[] = [];
    const origin = await startStaleOrigin(t, heads);
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /1');
    await client.untilHas('ok');
    client.request('PUT /2', `Content-Length: 4\r\n${closing}`, '\r\n\r\n');
    assert.equal((await client.ended()).split('200 OK').length, 3);
    // The body reads like the end of an empty head: the stale connection was given it, and the new one.
    assert.equal(heads.filter((head) => head === 'PUT /2 HTTP/1.1').length, 2);
    assert.equal(origin.accepted, 2);
  });

  it('is still used for a GET after as long a pause', async (t) => {
    const origin = await startReplyOrigin(t);
    const clock = new ShiftingClock();
    const gateway = await startTestGateway(t, routesOf([origin.port]), { clock });
    const client = gateway.request('GET /1');
    await client.untilHas('ok');
    await clock.shift(2_000);
    client.request('GET /2', closing);
    assert.equal((await client.ended()).split('200 OK').length, 3);
    assert.equal(origin.accepted, 1);
  });

  it('is followed by a new connection even when another waits that was idle as long', async (t) => {
    let requests = 0;
    const waiting: Socket[] = [];
    const origin = await startRawOrigin(t, (socket, number) =>
      onHeads(socket, () => {
        // The first two are answered when both have come, so that each has a connection of its own.
        if (++requests <= 2) waiting.push(socket);
        else if (number <= 2) socket.destroy();
        else socket.write(ok);
        if (requests === 2) for (const one of waiting) one.write(ok);
      }),
    );
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const [client, other] = [gateway.connect(), gateway.connect()];
    for (const one of [client, other]) one.request('GET /1');
    for (const one of [client, other]) await one.untilHas('ok');
    client.request('GET /2', closing);
    assert.match(await client.ended(), /200 OK[\s\S]*200 OK/);
    assert.deepEqual([requests, origin.accepted], [4, 3]);
    other.close();
  });

  it('is followed by one new connection, not by one after the other', async (t) => {
    let requests = 0;
    const origin = await startRawOrigin(t, (socket, number) => {
      let count = 0;
      onHeads(socket, () => {
        requests++;
        if (number === 1 && ++count === 1) socket.write(ok);
        else socket.destroy();
      });
    });
    const gateway = await startTestGateway(t, routesOf([origin.port]));
    const client = gateway.request('GET /1');
    await client.untilHas('ok');
    client.request('GET /2', closing);
    assert.match(await client.ended(), /HTTP\/1.1 502/);
    assert.deepEqual([requests, origin.accepted], [3, 2]);
  });
});
