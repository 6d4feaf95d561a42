import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { afterEach, describe, it } from 'node:test';
import { VirtualClock } from '../lib/virtual-clock.ts';
import { silentLogger } from '../observe/log.ts';
import type { RevisionStats, StatsReport } from '../serving/autoscaler/stats.ts';
import type { Backend } from './backend.ts';
import { DemandReporter } from './demand.ts';
import { Router } from './router.ts';
import { eventually, host, routesOf, targetKey } from './testing/fixture.ts';

describe('the demand reporter', () => {
  const cleanups: (() => void)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  async function start(answer: (response: ServerResponse) => void) {
    const reports: RevisionStats[][] = [];
    const server = createServer(async (request, response) => {
      let text = '';
      for await (const bytes of request) text += bytes;
      const report: StatsReport = JSON.parse(text);
      reports.push(report.revisions);
      answer(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const clock = new VirtualClock();
    const router = new Router({ clock, queueMax: 10, onDemand: (backend) => demand.urge(backend) });
    const demand: DemandReporter = new DemandReporter({
      autoscaler: { url: `http://127.0.0.1:${port}` },
      id: 'test',
      clock,
      log: silentLogger,
      backends: () => router.backends(),
    });
    demand.start();
    cleanups.push(() => {
      demand.stop();
      server.closeAllConnections();
      server.close();
    });
    const period = async () => {
      const count = reports.length;
      await clock.advance(1_000);
      await eventually(() => reports.length > count);
      return reports.at(-1) ?? [];
    };
    return { router, clock, reports, period };
  }

  const none = { hosts: new Map([[host, undefined]]), targets: new Map([[targetKey, undefined]]) };
  const serve = (backend: Backend | undefined, clock: VirtualClock) => {
    backend?.counters.arrive(clock.monotonic());
    backend?.counters.end(clock.monotonic(), 0, 1);
  };

  it('says once of a revision that nothing routes to any more that it is idle, and then forgets it', async () => {
    const { router, clock, period, reports } = await start((response) => response.writeHead(204).end());
    router.apply(routesOf([]));
    const [gone] = router.backends();
    serve(gone, clock);
    assert.deepEqual(
      (await period()).map(({ name, requestCount }) => [name, requestCount]),
      [['hello-00001', 1]],
    );
    router.apply(none);
    assert.equal([...router.backends()].length, 0);
    const [last] = await period();
    assert.deepEqual([last?.name, last?.requestCount, last?.averageConcurrency], ['hello-00001', 0, 0]);
    // Of the next report, which another revision causes, it is no part.
    router.apply(routesOf([], { revision: 'other' }));
    const [other] = router.backends();
    assert.notEqual(other, gone);
    serve(other, clock);
    assert.deepEqual(
      (await period()).map(({ name }) => name),
      ['other'],
    );
    assert.equal(reports.length, 3);
  });

  it('says of a revision whose Service went before its routes that it is idle, by its name', async () => {
    const { router, clock, period } = await start((response) => response.writeHead(204).end());
    router.apply(routesOf([8080]));
    serve([...router.backends()][0], clock);
    await period();
    router.apply(routesOf([], { revision: undefined }));
    assert.deepEqual(
      (await period()).map(({ name, requestCount }) => [name, requestCount]),
      [['hello-00001', 0]],
    );
  });

  it('does not pile up reports that an autoscaler leaves without an answer', async () => {
    const held: ServerResponse[] = [];
    let isAnswering = false;
    const { router, clock, reports } = await start((response) => {
      if (isAnswering) response.writeHead(204).end();
      else held.push(response);
    });
    router.apply(routesOf([8080]));
    for (let second = 1; second <= 4; second++) {
      await clock.advance(1_000);
      await eventually(() => reports.length === second);
    }
    await clock.advance(60_000);
    isAnswering = true;
    for (const response of held) response.writeHead(204).end();
    const [backend] = router.backends();
    // The newest report comes behind all that waited.
    while (!reports.at(-1)?.some(({ requestCount }) => requestCount > 0)) {
      serve(backend, clock);
      await clock.advance(1_000);
    }
    assert.ok(reports.length <= 8, `${reports.length} reports`);
  });

  it('reports on after a report that failed in itself', async () => {
    const { router, clock, period } = await start((response) => response.writeHead(204).end());
    router.apply(routesOf([8080]));
    const [backend] = router.backends();
    assert.ok(backend);
    const { counters } = backend;
    const cut = counters.cut.bind(counters);
    counters.cut = () => {
      throw new Error('a mishap');
    };
    await clock.advance(1_000);
    counters.cut = cut;
    assert.equal((await period()).length, 1);
  });
});
