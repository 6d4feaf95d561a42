/**
 * A gateway in a process of its own: what a test does to it by force (a kill, a flood) stays there. Started by
 * `startChildGateway`; the first message says what to serve, later ones ask for what it holds.
 */
import { memoryUsage } from 'node:process';
import { systemClock } from '../../lib/clock.ts';
import type { ListenHandle } from '../../observe/listen.ts';
import { silentLogger } from '../../observe/log.ts';
import { type GatewayLimits, startGateway } from '../index.ts';
import type { RouteChange } from '../routes/change.ts';
import { routesOf, type Target } from './routes.ts';

export interface ChildStart {
  ports: number[];
  target: Partial<Target>;
  limits: Partial<GatewayLimits>;
}

export interface ChildMemory {
  rssBytes: number;
}

process.once('message', async ({ ports, target, limits }: ChildStart, handle: ListenHandle | undefined) => {
  const gateway = await startGateway({
    source: {
      async start(onChange: (change: RouteChange) => void) {
        onChange(routesOf(ports, target));
      },
      stop() {},
    },
    port: 0,
    handle,
    // Nobody listens there: the reports of these tests are for nobody.
    autoscaler: { url: 'http://127.0.0.1:9' },
    id: 'child',
    clock: systemClock,
    log: silentLogger,
    limits,
  });
  process.on('message', (what) => {
    if (what === 'memory') process.send?.({ rssBytes: memoryUsage.rss() } satisfies ChildMemory);
  });
  process.send?.({ port: gateway.port });
});
process.on('disconnect', () => process.exit(0));
