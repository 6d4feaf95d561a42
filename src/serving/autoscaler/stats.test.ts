import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '../../observe/log.ts';
import { parseStatsReport, type StatsReport } from './stats.ts';
import { listenForStats } from './stats-listener.ts';

const revision = { namespace: 'default', name: 'r', averageConcurrency: 1.5, requestCount: 2, queued: 0 };
const report: StatsReport = { gateway: 'g', at: 1_700_000_000_000, revisions: [revision] };

test('a report is read whole, a bad one is refused with the field that is wrong', () => {
  assert.deepEqual(parseStatsReport({ ...report, extra: true }), report);
  const bad: [unknown, RegExp][] = [
    [null, /the report: expected an object/],
    [{ ...report, gateway: '' }, /^gateway: expected a name/],
    [{ ...report, at: 'now' }, /^at: expected a number/],
    [{ ...report, revisions: {} }, /^revisions: expected an array/],
    [{ ...report, revisions: [revision, 7] }, /^revisions\[1\]: expected an object, got 7/],
    [{ ...report, revisions: [{ ...revision, queued: -1 }] }, /^revisions\[0\]\.queued: expected a number, 0 or more/],
    [{ ...report, revisions: [{ ...revision, queued: 1e10 }] }, /^revisions\[0\]\.queued: .*at most 1000000000/],
    [{ ...report, revisions: [{ ...revision, queued: Number.NaN }] }, /^revisions\[0\]\.queued: .* got null/],
    [{ ...report, revisions: [{ ...revision, requestCount: '1' }] }, /^revisions\[0\]\.requestCount: .* got "1"/],
    [{ ...report, gateway: 'g'.repeat(254) }, /^gateway: expected a name/],
    [{ ...report, gateway: JSON.parse('['.repeat(5_000) + ']'.repeat(5_000)) }, /^gateway: .* got an array/],
    [{ ...report, revisions: [{ ...revision, name: undefined }] }, /^revisions\[0\]\.name: .*got nothing/],
  ];
  for (const [value, message] of bad) assert.throws(() => parseStatsReport(value), { name: 'BadReport', message });
});

test('the listener takes reports, and says what is wrong with others', async () => {
  const taken: StatsReport[] = [];
  const listener = await listenForStats({ port: 0 }, (r) => taken.push(r), silentLogger);
  const url = `http://127.0.0.1:${listener.port}/v1/stats`;
  const post = (body: string) => fetch(url, { method: 'POST', body });
  try {
    assert.equal((await post(JSON.stringify(report))).status, 204);
    assert.deepEqual(taken, [report]);
    const wrong = await post(JSON.stringify({ ...report, at: null }));
    assert.deepEqual([wrong.status, await wrong.text()], [400, 'at: expected a number, 0 or more, got null\n']);
    assert.equal((await post('{')).status, 400);
    assert.equal((await fetch(url)).status, 404);
    assert.equal((await post(`"${'x'.repeat(5_000_000)}"`)).status, 413);
    assert.equal(taken.length, 1);
  } finally {
    await listener.stop();
  }
});

/** A listener, and a plain connection to it. */
async function withListener(use: (port: number, taken: StatsReport[]) => Promise<void>): Promise<void> {
  const taken: StatsReport[] = [];
  const listener = await listenForStats({ port: 0 }, (r) => taken.push(r), silentLogger);
  try {
    await use(listener.port ?? 0, taken);
  } finally {
    await listener.stop();
  }
}

const post = (port: number, body: string) => fetch(`http://127.0.0.1:${port}/v1/stats`, { method: 'POST', body });

describe('the stats listener outlives', () => {
  const line = 'POST /v1/stats HTTP/1.1\r\nhost: x\r\n';
  for (const [what, bytes] of [
    ['what is no HTTP', '\u0000\u0001 garbage\r\n\r\n'],
    ['a head without end', line + 'x: y\r\n'.repeat(50_000)],
    ['a body that is cut off', `${line}content-length: 100\r\n\r\n{`],
    [
      'a body without end',
      `${line}transfer-encoding: chunked\r\n\r\n${'10000\r\n'.padEnd(65_543, 'x')}\r\n`.repeat(90),
    ],
    ['a body of brackets', `${line}content-length: 1000000\r\n\r\n${'['.repeat(1_000_000)}`],
    ['a body of nested arrays', `${line}content-length: 200000\r\n\r\n${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ] as const) {
    test(what, async () => {
      await withListener(async (port, taken) => {
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => {}); // It is cut off: that is one of the right answers.
        await once(socket, 'connect');
        socket.end(bytes);
        socket.resume();
        await new Promise((resolve) => socket.once('close', resolve));
        assert.equal((await post(port, JSON.stringify(report))).status, 204);
        assert.equal(taken.length, 1);
      });
    });
  }

  test('a client that asks and never reads', async () => {
    await withListener(async (port, taken) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {}); // Of its end.
      await once(socket, 'connect');
      socket.pause();
      const request = 'GET /not-there HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1_000);
      // Until the listener takes no more: it cuts the connection, or what is written stays here, turn after turn.
      let unsent = 0;
      for (let stuck = 0; stuck < 200 && !socket.destroyed; ) {
        if (socket.writableLength === 0) socket.write(request);
        await setImmediate();
        stuck = socket.writableLength > 0 && socket.writableLength === unsent ? stuck + 1 : 0;
        unsent = socket.writableLength;
      }
      assert.ok(unsent > 0 || socket.destroyed, 'the listener stopped reading');
      assert.equal((await post(port, JSON.stringify(report))).status, 204);
      assert.equal(taken.length, 1);
      socket.destroy();
    });
  });
});
