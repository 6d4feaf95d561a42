import { type DeciderState, type Decision, decide, initialState } from './decider.ts';
import type { ScalingConfig } from './scaling-config.ts';
import type { RevisionStats } from './stats.ts';
import { Window } from './windows.ts';

/** What is known of a revision's Deployment and PodAutoscaler when a scale is chosen. */
export interface ScaleTarget {
  /** `spec.replicas` of the Deployment. */
  replicas: number;
  readyPods: number;
  /** Whether the initial scale was ever reached. */
  isInitialized: boolean;
  /** It failed, and its pods are not to be waited for (hopeless.ts). */
  isHopeless?: boolean;
  /** Since when the PodAutoscaler's condition Active is True, in ms. */
  activeSinceMs?: number;
  /** Since when it waits for its pods. */
  activatingSinceMs?: number;
  progressDeadlineMs: number;
}

/** Without a report of a routed revision for this long, its gateways are away. */
const silenceMs = 10_000;
/** Above this many names, those of gateways that fell silent are dropped. */
const gatewaysMax = 64;
/** After the progress deadline, this much more before a revision that does not come up is given up. */
const activationGraceMs = 30_000;

/** The life of one revision's scaling: its windows, and what it decided before. Time comes in by argument. */
export class RevisionScaler {
  readonly #createdAtMs: number;
  #config: ScalingConfig;
  #stable: Window;
  #panic: Window;
  #state: DeciderState;
  /** What each gateway said of its newest second. */
  readonly #reported = new Map<string, { second: number; value: number }>();
  #heardAtMs: number;
  /** When there last was anything to do. */
  #busyAtMs = Number.NEGATIVE_INFINITY;
  #lastDecision: Decision | undefined;

  constructor(config: ScalingConfig, readyPods: number, nowMs: number) {
    this.#config = config;
    this.#createdAtMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#stable = new Window(config.stableWindowMs);
    this.#panic = new Window(config.panicWindowMs);
    this.#state = initialState(readyPods, nowMs);
  }

  /** The newest decision, for metrics. */
  get lastDecision(): Decision | undefined {
    return this.#lastDecision;
  }

  /** How many gateways are remembered. */
  get gatewaysHeard(): number {
    return this.#reported.size;
  }

  /** Windows of another length start anew. */
  configure(config: ScalingConfig): void {
    if (config.stableWindowMs !== this.#config.stableWindowMs) this.#stable = new Window(config.stableWindowMs);
    if (config.panicWindowMs !== this.#config.panicWindowMs) this.#panic = new Window(config.panicWindowMs);
    this.#config = config;
  }

  /**
   * Takes in what `gateway` said of the second that ended at `atMs`. What different gateways say adds up; what one says
   * again within a second (at once for a request that waits, then in its regular report) does not: the most counts.
   */
  record(gateway: string, stats: RevisionStats, atMs: number): void {
    const isDemand = stats.queued > 0 || stats.requestCount > 0 || stats.averageConcurrency > 0;
    this.#heardAtMs = Math.max(this.#heardAtMs, atMs);
    if (isDemand) this.#busyAtMs = Math.max(this.#busyAtMs, atMs);
    // A request that waits has been there for only a part of the second, and counts whole: it needs a pod.
    const concurrency = Math.max(stats.averageConcurrency, stats.queued);
    const value = this.#config.metric === 'rps' ? stats.requestCount : concurrency;
    const second = Math.floor(atMs / 1000);
    const before = this.#reported.get(gateway);
    const counted = before?.second === second ? before.value : 0;
    this.#stable.add(atMs, Math.max(0, value - counted));
    this.#panic.add(atMs, Math.max(0, value - counted));
    this.#reported.set(gateway, { second, value: Math.max(value, counted) });
    if (this.#reported.size > gatewaysMax) this.#forgetGateways(second);
  }

  /** Gateways come and go, each with a name of its own: the silent go first, then those that came first. */
  #forgetGateways(second: number): void {
    for (const [gateway, last] of this.#reported) if (last.second < second - 1) this.#reported.delete(gateway);
    for (const gateway of this.#reported.keys()) {
      if (this.#reported.size <= gatewaysMax / 2) return;
      this.#reported.delete(gateway);
    }
  }

  /** How many replicas the Deployment should have now. */
  choose(target: ScaleTarget, nowMs: number): number {
    const observed = {
      stableAverage: this.#stable.average(nowMs),
      panicAverage: this.#panic.average(nowMs),
      readyPods: target.readyPods,
    };
    const decision = decide(observed, this.#state, this.#config, nowMs);
    this.#state = decision.state;
    this.#lastDecision = decision;
    const demanded = this.#atLeastOneForDemand(this.#heard(decision.pods, target, nowMs), target, nowMs);
    if (demanded === 0 && this.#isGivenUp(target, nowMs)) return 0;
    const wanted = this.#withinBounds(demanded, target);
    return wanted === 0 ? this.#toZero(target, nowMs) : wanted;
  }

  /** Gateways report idle pods as well: where none does, silence says nothing, and nothing is taken away for it. */
  #heard(pods: number, target: ScaleTarget, nowMs: number): number {
    const isSilent = this.#config.isRouted && nowMs - this.#heardAtMs > silenceMs;
    return isSilent && target.activeSinceMs !== undefined ? Math.max(pods, target.replicas) : pods;
  }

  /** A request that waits is never averaged away: someone must answer it. */
  #atLeastOneForDemand(pods: number, target: ScaleTarget, nowMs: number): number {
    const isWanted = nowMs - this.#busyAtMs <= this.#config.stableWindowMs;
    if (!isWanted) return pods;
    return Math.max(pods, target.replicas === 0 ? this.#config.activationScale : 1);
  }

  #withinBounds(pods: number, target: ScaleTarget): number {
    const { minScale, maxScale, initialScale } = this.#config;
    const min = target.isInitialized ? minScale : Math.max(minScale, initialScale);
    const bounded = Math.max(pods, min);
    return maxScale > 0 ? Math.min(bounded, maxScale) : bounded;
  }

  /**
   * Nothing is wanted: zero once the revision has been idle for a stable window and the retention period, counted from
   * when it became active, had its last request, or from when this control plane first saw it (it knows no requests
   * from before). The gateway is always in the path, so there is no grace period for a change of paths.
   */
  #toZero(target: ScaleTarget, nowMs: number): number {
    if (target.replicas === 0) return 0;
    if (!this.#config.isScaleToZeroEnabled) return 1;
    if (target.activeSinceMs === undefined) return Math.max(1, Math.min(target.replicas, this.#config.initialScale));
    const idleSinceMs = Math.max(target.activeSinceMs, this.#createdAtMs, this.#busyAtMs);
    const idleMs = nowMs - idleSinceMs;
    return idleMs >= this.#config.stableWindowMs + this.#config.podRetentionMs ? 0 : 1;
  }

  /** Pods that did not come up within the progress deadline will not come up by waiting longer, nor by trying again. */
  #isGivenUp(target: ScaleTarget, nowMs: number): boolean {
    const { activatingSinceMs } = target;
    if (target.isHopeless) return true;
    if (!target.isInitialized && target.replicas === 0) return true;
    return activatingSinceMs !== undefined && nowMs - activatingSinceMs > target.progressDeadlineMs + activationGraceMs;
  }
}
