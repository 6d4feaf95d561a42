/** The data path of Serving: takes requests, wakes revisions, streams replies. */
import type { Client } from '../kube/client.ts';
import type { Clock } from '../lib/clock.ts';
import { Quarantine } from '../lib/quarantine.ts';
import type { ListenHandle } from '../observe/listen.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { dateField, type GatewayContext, GatewayCounters } from './context.ts';
import { type AutoscalerAddress, DemandReporter } from './demand.ts';
import { defaultLimits, type GatewayLimits } from './limits.ts';
import { Listener } from './listener.ts';
import { exposeMetrics } from './metrics.ts';
import { protocols } from './protocols.ts';
import { Router } from './router.ts';
import { Acknowledgement } from './routes/acknowledgement.ts';
import type { RouteSource } from './routes/change.ts';
import { informerSource } from './routes/informers.ts';
import type { Protocols } from './sides.ts';

export { defaultLimits, type GatewayLimits } from './limits.ts';
export type { RouteChange, RouteSource } from './routes/change.ts';

export interface GatewayOptions {
  /** Where routes come from: a Kubernetes API, or another source (in tests). */
  client?: Client;
  source?: RouteSource;
  /** Loopback unless given. */
  host?: string;
  /** 0 is any free one. */
  port: number;
  /** A bound socket to listen on instead, which outlives this process. */
  handle?: ListenHandle | undefined;
  autoscaler: AutoscalerAddress;
  /** Names this gateway among others in reports. */
  id: string;
  /** The Lease by which it tells which routes it has; it tells nobody unless given. */
  lease?: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
  limits?: Partial<GatewayLimits>;
  /** Those of protocols.ts unless given. */
  protocols?: Protocols;
  /** Which clients are of the cluster, for whom alone some hosts are; all unless given. */
  isInside?: ((address: string) => boolean) | undefined;
  /** Logs every n-th request; none unless given. */
  accessLogEvery?: number;
  /** Knows the requests that have ended the process; knows of none unless given. */
  quarantine?: Quarantine;
}

export interface Gateway {
  port: number;
  /**
   * Accepts no more and lets requests under way end, for up to `graceMs` (1,000 unless given). Whoever else listens on
   * the lent socket goes on.
   */
  stop(options?: { graceMs?: number }): Promise<void>;
}

/** Starts a gateway; resolves once it listens and knows its routes. Throws PORT_IN_USE. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const router: Router = new Router({
    clock,
    queueMax: limits.queuedPerRevision,
    onDemand: (backend) => demand.urge(backend),
  });
  const demand = new DemandReporter({
    autoscaler: options.autoscaler,
    id: options.id,
    clock,
    log,
    backends: () => router.backends(),
  });
  const context: GatewayContext = {
    router,
    protocols: options.protocols ?? protocols,
    limits,
    clock,
    log,
    isInside: options.isInside ?? (() => true),
    coarseMs: clock.monotonic(),
    dateField: dateField(clock.now()),
    isDraining: false,
    counters: new GatewayCounters(),
    connections: new Set(),
    accessLogEvery: options.accessLogEvery ?? 0,
    quarantine: options.quarantine ?? new Quarantine(),
    reportFault(error, fields = {}) {
      context.counters.internalErrors++;
      log.error({ err: error, ...fields }, 'something failed in the gateway: only what it was at is ended');
    },
  };
  const listener = new Listener(context);
  if (options.metrics !== undefined) exposeMetrics(options.metrics, context);
  const source = sourceOf(options);
  // Without routes every host is unknown: a gateway that starts again must not answer 404 for services that exist.
  await source.start((change) => {
    router.apply(change);
    context.counters.problems = change.problems ?? context.counters.problems;
  });
  const { host, port: portWanted, handle } = options;
  const port = await listener.listen({ host, port: portWanted, handle }).catch(async (error) => {
    await source.stop();
    throw error;
  });
  demand.start();
  log.info({ port }, 'gateway listens');
  return {
    port,
    async stop({ graceMs = 1_000 } = {}) {
      // What is under way may still wait for a pod, and a route that became ready meanwhile is asked for here, too.
      await listener.drain(graceMs);
      await source.stop();
      demand.stop();
      router.close();
    },
  };
}

function sourceOf(options: GatewayOptions): RouteSource {
  if (options.source !== undefined) return options.source;
  if (options.client === undefined) throw new Error('startGateway needs a client or a source');
  const { client, clock, log, lease, id } = options;
  if (lease === undefined) return informerSource(client, clock, log);
  const source = informerSource(client, clock, log, () => acknowledgement.write());
  const { servedVersion } = source;
  const acknowledgement: Acknowledgement = new Acknowledgement({
    ...{ client, clock, log, servedVersion },
    name: lease,
    holder: id,
  });
  return {
    async start(onChange) {
      await acknowledgement.claim();
      await source.start(onChange);
    },
    async stop() {
      await source.stop();
      await acknowledgement.stop();
    },
  };
}
