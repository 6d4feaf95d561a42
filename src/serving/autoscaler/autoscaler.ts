import { type Deployment, DeploymentKind } from '../../api/apps/deployment.ts';
import { ConfigMapKind } from '../../api/core/config-map.ts';
import type { Kind } from '../../api/kind.ts';
import { conditionOf, type Key, keyOf, keyText } from '../../api/meta.ts';
import type { AutoscalerConfig } from '../../api/serving/autoscaler-config.ts';
import { type PodAutoscaler, PodAutoscalerKind, targetKey } from '../../api/serving/pod-autoscaler.ts';
import { RevisionKind } from '../../api/serving/revision.ts';
import { isNotFound } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import type { Cache } from '../../kube/reconciler.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { autoscalerConfigReader } from '../config/autoscaler.ts';
import { defaultProgressDeadlineMs } from '../revision/resources/deployment.ts';
import { isHopeless } from './hopeless.ts';
import { RevisionScaler, type ScaleTarget } from './scaler.ts';
import { type ScalingConfig, scalingConfigOf } from './scaling-config.ts';
import type { RevisionStats, StatsReport } from './stats.ts';

export interface AutoscalerOptions {
  client: Client;
  /** Must have PodAutoscalers, Revisions, Deployments and ConfigMaps. */
  cache: Cache;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
}

/** How often every revision is looked at, besides at once when requests wait. */
const tickMs = 2_000;
/** A gateway whose clock is further off than this is taken to report about now. */
const clockSkewMaxMs = 5_000;
/** The cache shows what was written within this; if not, the write was undone and counts no more. */
const echoMs = 5_000;

const decidedBy = [PodAutoscalerKind, RevisionKind, DeploymentKind, ConfigMapKind] as Kind[];

interface Entry {
  scaler: RevisionScaler;
  /** What `config` was made from. */
  autoscaler: PodAutoscaler;
  common: AutoscalerConfig;
  config: ScalingConfig;
  /** Replicas written, until the cache shows them. */
  written?: { replicas: number; atMs: number };
  isWriting: boolean;
}

/**
 * Scales every revision: reports of the gateways in, writes of the Deployments' scale subresource out. It keeps nothing
 * that a restart would miss, but for the windows: the scalers are careful until they are full again.
 */
export class Autoscaler {
  readonly #options: AutoscalerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #instruments: ReturnType<typeof instruments>;
  readonly #readConfig = autoscalerConfigReader();
  #hasAll = false;
  #cancelTick: (() => void) | undefined;

  constructor(options: AutoscalerOptions) {
    this.#options = options;
    this.#instruments = instruments(options.metrics);
  }

  start(): void {
    this.#cancelTick = this.#options.clock.after(tickMs, () => {
      // First, so that nothing that a tick meets can be the last.
      this.start();
      this.tick();
    });
  }

  stop(): void {
    this.#cancelTick?.();
  }

  /** Takes in what a gateway says; a revision at zero that is wanted is scaled up before this returns control. */
  report(report: StatsReport): void {
    if (!this.#isInformed()) return;
    const nowMs = this.#options.clock.now();
    const atMs = Math.abs(report.at - nowMs) > clockSkewMaxMs ? nowMs : Math.min(report.at, nowMs);
    this.#instruments?.reports.inc();
    for (const stats of report.revisions) {
      const autoscaler = this.#options.cache.get(PodAutoscalerKind, { namespace: stats.namespace, name: stats.name });
      // A gateway may be a moment behind about what there is.
      if (autoscaler) this.#guarded(autoscaler, () => this.#record(autoscaler, report.gateway, stats, atMs, nowMs));
    }
  }

  #record(autoscaler: PodAutoscaler, gateway: string, stats: RevisionStats, atMs: number, nowMs: number): void {
    const entry = this.#entryOf(autoscaler, nowMs);
    if (!entry) return;
    entry.scaler.record(gateway, stats, atMs);
    // Requests that wait do not wait for a tick as well: there is no pod, or there are too few.
    const isAtZero = () => this.#targetOf(autoscaler, entry, nowMs)?.replicas === 0;
    const isDemand = stats.requestCount > 0 || stats.averageConcurrency > 0;
    if (stats.queued > 0 || (isDemand && isAtZero())) this.#scale(autoscaler, entry, nowMs);
  }

  /** Whether all is here that scales are chosen by. */
  #isInformed(): boolean {
    this.#hasAll ||= decidedBy.every((kind) => this.#options.cache.has(kind));
    return this.#hasAll;
  }

  /** What goes wrong with one revision is said, and nothing to the others. */
  #guarded(autoscaler: PodAutoscaler, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#instruments?.failures.inc();
      const revision = keyText(keyOf(autoscaler));
      this.#options.log.error({ revision, err: error }, 'the scale of a revision could not be chosen');
    }
  }

  /** Looks at every revision once. */
  tick(): void {
    if (!this.#isInformed()) return;
    const nowMs = this.#options.clock.now();
    const autoscalers = this.#options.cache.list(PodAutoscalerKind);
    const seen = new Set<string>();
    for (const autoscaler of autoscalers) {
      seen.add(keyText(keyOf(autoscaler)));
      this.evaluate(autoscaler, nowMs);
    }
    for (const key of this.#entries.keys()) if (!seen.has(key)) this.#entries.delete(key);
    this.#instruments?.revisions.set(this.#entries.size);
  }

  /** Looks at one revision: at a tick, or because it changed. */
  evaluate(autoscaler: PodAutoscaler, nowMs: number): void {
    this.#guarded(autoscaler, () => {
      const entry = this.#entryOf(autoscaler, nowMs);
      if (entry) this.#scale(autoscaler, entry, nowMs);
    });
  }

  #entryOf(autoscaler: PodAutoscaler, nowMs: number): Entry | undefined {
    if (autoscaler.metadata.deletionTimestamp) return undefined;
    const { cache, log } = this.#options;
    const key = keyText(keyOf(autoscaler));
    const common = this.#readConfig(cache, log);
    const known = this.#entries.get(key);
    // A revision that was deleted and made anew under its name has no past.
    if (known && known.autoscaler.metadata.uid === autoscaler.metadata.uid) {
      if (known.autoscaler !== autoscaler || known.common !== common) {
        known.config = scalingConfigOf(autoscaler, common);
        known.autoscaler = autoscaler;
        known.common = common;
        known.scaler.configure(known.config);
      }
      return known;
    }
    const deployment = cache.get(DeploymentKind, targetKey(autoscaler));
    if (!deployment) return undefined;
    const config = scalingConfigOf(autoscaler, common);
    const scaler = new RevisionScaler(config, deployment.status?.readyReplicas ?? 0, nowMs);
    const entry: Entry = { scaler, autoscaler, common, config, isWriting: false };
    this.#entries.set(key, entry);
    return entry;
  }

  #targetOf(autoscaler: PodAutoscaler, entry: Entry, nowMs: number): ScaleTarget | undefined {
    const deployment = this.#options.cache.get(DeploymentKind, targetKey(autoscaler));
    if (!deployment || deployment.metadata.deletionTimestamp) return undefined;
    const active = conditionOf(autoscaler, 'Active');
    const since = active?.lastTransitionTime === undefined ? undefined : Date.parse(active.lastTransitionTime);
    const isInitialized = conditionOf(autoscaler, 'ScaleTargetInitialized')?.status === 'True';
    const revision = this.#options.cache.get(RevisionKind, keyOf(autoscaler));
    return {
      replicas: replicasOf(deployment, entry, nowMs),
      readyPods: deployment.status?.readyReplicas ?? 0,
      isInitialized,
      isHopeless: revision !== undefined && isHopeless(revision, deployment, isInitialized, nowMs),
      ...(active?.status === 'True' && since !== undefined ? { activeSinceMs: since } : {}),
      ...(active?.status === 'Unknown' && since !== undefined ? { activatingSinceMs: since } : {}),
      progressDeadlineMs: (deployment.spec.progressDeadlineSeconds ?? defaultProgressDeadlineMs / 1000) * 1000,
    };
  }

  #scale(autoscaler: PodAutoscaler, entry: Entry, nowMs: number): void {
    const target = this.#targetOf(autoscaler, entry, nowMs);
    if (!target || entry.isWriting) return;
    const replicas = entry.scaler.choose(target, nowMs);
    if (replicas === target.replicas) return;
    entry.isWriting = true;
    entry.written = { replicas, atMs: nowMs };
    // It catches what the API throws.
    void this.#write(targetKey(autoscaler), target.replicas, entry, replicas);
  }

  async #write(key: Key, from: number, entry: Entry, replicas: number): Promise<void> {
    const { client, log } = this.#options;
    try {
      await client.scale(DeploymentKind, key, replicas);
      this.#instruments?.writes.inc({ direction: replicas > from ? 'up' : 'down' });
      log.info({ deployment: keyText(key), from, to: replicas }, 'scaled');
    } catch (error) {
      // The next tick tries again, from what the Deployment then says.
      delete entry.written;
      if (!isNotFound(error)) log.warn({ deployment: keyText(key), to: replicas, err: error }, 'scaling failed');
    } finally {
      entry.isWriting = false;
    }
  }
}

/** What the Deployment says, or what was written a moment ago and has not come back through the cache yet. */
function replicasOf(deployment: Deployment, entry: Entry, nowMs: number): number {
  const seen = deployment.spec.replicas ?? 1;
  const { written } = entry;
  if (!written) return seen;
  if (written.replicas === seen || nowMs - written.atMs > echoMs) {
    delete entry.written;
    return seen;
  }
  return written.replicas;
}

function instruments(metrics: Metrics | undefined) {
  if (!metrics) return undefined;
  return {
    reports: metrics.counter('kittiwake_autoscaler_reports_total', 'Reports of gateways taken in.'),
    writes: metrics.counter('kittiwake_autoscaler_scale_writes_total', 'Changes of scale, by direction.', [
      'direction',
    ]),
    failures: metrics.counter(
      'kittiwake_autoscaler_failures_total',
      'Times that the scale of a revision could not be chosen; the log says why.',
    ),
    revisions: metrics.gauge('kittiwake_autoscaler_revisions', 'Revisions that are looked after.'),
  };
}
