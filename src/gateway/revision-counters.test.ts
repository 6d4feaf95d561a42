import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientClosed, RevisionCounters } from './revision-counters.ts';

describe("a revision's counters", () => {
  it('weigh concurrency by time, and start each period with what is still in flight', () => {
    const counters = new RevisionCounters(0);
    counters.arrive(0);
    counters.arrive(750);
    assert.deepEqual(counters.cut(1000), { averageConcurrency: 1.25, requestCount: 2 });
    counters.end(1500, 1500, 1);
    assert.deepEqual(counters.cut(2000), { averageConcurrency: 1.5, requestCount: 0 });
    counters.end(2000, 1250, clientClosed);
    assert.deepEqual(counters.cut(3000), { averageConcurrency: 0, requestCount: 0 });
    assert.deepEqual([...counters.ended], [0, 1, 0, 0, 0, 1]);
  });

  it('sort durations into buckets whose bounds belong to them', () => {
    const counters = new RevisionCounters(0);
    for (const durationMs of [0.2, 1, 1.1, 30_000, 30_001]) {
      counters.arrive(0);
      counters.end(0, durationMs, 1);
    }
    assert.deepEqual(
      [counters.latency[0], counters.latency[1], counters.latency[13], counters.latency[14]],
      [2, 1, 1, 1],
    );
    assert.ok(Math.abs(counters.latencySumMs - 60_003.3) < 1e-6);
  });
});
