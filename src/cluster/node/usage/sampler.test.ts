import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { until } from '../../../lib/testing/until.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import type { UsageReport } from '../../pod-usage.ts';
import type { RunningContainer } from '../driver.ts';
import { sampleNode } from './node-sample.ts';
import { UsageSampler } from './sampler.ts';

describe('what pods use', () => {
  let clock: VirtualClock;
  let sampler: UsageSampler;
  let containers: RunningContainer[];
  let looks: number;

  beforeEach(() => {
    clock = new VirtualClock(100_000);
    looks = 0;
    containers = [];
    sampler = new UsageSampler({
      clock,
      nodeName: 'local',
      containers: () => containers,
      async node() {
        looks++;
        return { atMs: clock.now(), cpuNs: clock.now() * 500_000, memoryBytes: 7 };
      },
    });
  });
  afterEach(() => sampler.stop());

  /** Uses `cores` processors since it started. */
  const container = (podUid: string, name: string, cores: number, startedAtMs = 0, restart = 0) =>
    ({
      id: { podUid, container: name, restart },
      startedAtMs,
      stats: async () => ({
        cpuUsageNs: cores * (clock.now() - startedAtMs) * 1e6,
        memoryUsageBytes: 20,
        memoryWorkingSetBytes: 10,
        pids: 1,
      }),
    }) as RunningContainer;

  async function read(): Promise<UsageReport> {
    let report: UsageReport | undefined;
    void sampler.read().then((found) => {
      report = found;
    });
    await until(async () => {
      await clock.advance(100);
      return report;
    });
    return report as UsageReport;
  }

  test('is the difference of two looks: who asks first waits a second for the second', async () => {
    containers = [container('a', 'web', 0.25), container('a', 'sidecar', 2), container('b', 'web', 0)];
    const { pods, node } = await read();
    assert.equal(looks, 2);
    const [a, b] = [pods.get('a'), pods.get('b')];
    assert.deepEqual(a?.containers, [
      { name: 'web', cpuNanocores: 250_000_000, memoryBytes: 10 },
      { name: 'sidecar', cpuNanocores: 2_000_000_000, memoryBytes: 10 },
    ]);
    assert.deepEqual(b?.containers, [{ name: 'web', cpuNanocores: 0, memoryBytes: 10 }]);
    assert.ok(Number(a?.windowMs) >= 1000 && Number(a?.windowMs) <= 1100);
    assert.deepEqual([node?.name, node?.cpuNanocores, node?.memoryBytes], ['local', 500_000_000, 7]);
  });

  test('is looked at every 15 s while somebody asks, and not at all after two minutes', async () => {
    await read();
    await clock.advance(45_000);
    assert.equal(looks, 5);
    const { node } = await read();
    assert.deepEqual([looks, node?.windowMs], [5, 15_000]);
    await clock.advance(300_000);
    const afterwards = looks;
    assert.ok(afterwards <= 5 + 9);
    await clock.advance(3_600_000);
    assert.equal(looks, afterwards);
    assert.equal((await read()).node?.windowMs, 1000);
  });

  test('of many who ask at once, all get the same two looks', async () => {
    const reading = Promise.all([read(), sampler.read(), sampler.read()]);
    await reading;
    assert.equal(looks, 2);
  });

  test('of a container that has just started is counted from its start, and what is gone is left out', async () => {
    containers = [container('a', 'web', 1, clock.now())];
    await read();
    const startedAtMs = clock.now();
    containers = [container('a', 'web', 3, startedAtMs, 1)];
    await clock.advance(15_000);
    const { pods } = await read();
    assert.equal(pods.get('a')?.containers[0]?.cpuNanocores, 3_000_000_000);
    containers = [];
    await clock.advance(15_000);
    assert.equal((await read()).pods.size, 0);
  });

  test('of which nothing is known is left out, and so is what goes backwards in time', async () => {
    const gone = { ...container('a', 'web', 1), stats: async () => undefined } as RunningContainer;
    containers = [gone, container('b', 'web', 1, clock.now() + 1e6)];
    assert.deepEqual([...(await read()).pods.keys()], ['b']);
    assert.equal((await read()).pods.get('b')?.containers[0]?.cpuNanocores, 1_000_000_000);
  });

  test('the machine itself says what it uses', async () => {
    const sample = await sampleNode(clock);
    assert.ok(sample && sample.cpuNs > 0 && sample.memoryBytes > 1e6);
  });
});
