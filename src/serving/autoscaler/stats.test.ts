import assert from 'node:assert/strict';
import { test } from 'node:test';
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
