import { DeploymentKind } from '../../api/apps/deployment.ts';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import { type PodAutoscaler, PodAutoscalerKind } from '../../api/serving/pod-autoscaler.ts';
import { RevisionKind } from '../../api/serving/revision.ts';
import type { Client } from '../../kube/client.ts';
import type { Cache, Controller } from '../../kube/reconciler.ts';
import { runControllers } from '../../kube/runner.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { Autoscaler } from './autoscaler.ts';
import { listenForStats, type StatsAddress } from './stats-listener.ts';

export interface StartAutoscalerOptions {
  client: Client;
  /** The cache of the controllers of this process; without it the autoscaler has informers of its own. */
  cache?: Cache;
  clock: Clock;
  log: Logger;
  /** Where gateways send their reports. */
  listen: StatsAddress;
  metrics?: Metrics;
}

export interface RunningAutoscaler {
  /** The port it listens on, when it does on one. */
  port: number | undefined;
  stop(): Promise<void>;
}

/** Scales revisions by what gateways report, until it is stopped. Scales nothing while it is not running. */
export async function startAutoscaler(options: StartAutoscalerOptions): Promise<RunningAutoscaler> {
  const { client, clock, metrics } = options;
  const log = options.log.child({ component: 'autoscaler' });
  const own = options.cache ? undefined : await runControllers([observer()], { client, clock, log });
  const cache = options.cache ?? own?.cache;
  if (!cache) throw new Error('assertion failed: the autoscaler has a cache');
  const autoscaler = new Autoscaler({ client, cache, clock, log, ...(metrics ? { metrics } : {}) });
  const listener = await listenForStats(options.listen, (report) => autoscaler.report(report), log);
  autoscaler.tick();
  autoscaler.start();
  return {
    port: listener.port,
    async stop() {
      autoscaler.stop();
      await listener.stop();
      await own?.stop();
    },
  };
}

/** Reconciles nothing: it is there for the copies that the runner keeps of what it watches. */
function observer(): Controller<PodAutoscaler> {
  return {
    name: 'autoscaler-observer',
    kind: PodAutoscalerKind,
    reconcile: () => Promise.resolve(),
    watches: [
      { kind: DeploymentKind, keys: () => [] },
      { kind: RevisionKind, keys: () => [] },
      { kind: ConfigMapKind, keys: () => [] },
    ],
  };
}
