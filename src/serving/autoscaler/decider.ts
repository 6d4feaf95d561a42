import type { ScalingConfig } from './scaling-config.ts';

/** What is seen of a revision at one moment, in the unit of its metric (requests in flight, or requests a second). */
export interface Observation {
  stableAverage: number;
  panicAverage: number;
  readyPods: number;
}

/** What the decider remembers from one decision to the next; plain data. */
export interface DeciderState {
  /** Undefined while not panicking. */
  panic?: Panic | undefined;
  /** Decisions within the scale-down delay, the oldest first, each higher than those after it. */
  recent: readonly { atMs: number; pods: number }[];
}

export interface Panic {
  /** When the load was last over the panic threshold. */
  atMs: number;
  /** The most that was wanted during this panic: it is not taken back before the panic ends. */
  pods: number;
}

export interface Decision {
  /** Pods wanted, before the revision's bounds. */
  pods: number;
  isPanicking: boolean;
  state: DeciderState;
}

/**
 * How a scaler begins. Pods that run already were wanted by somebody: a control plane that restarts has empty windows,
 * so it begins in panic, which does not scale down before it has seen a whole stable window.
 */
export function initialState(readyPods: number, nowMs: number): DeciderState {
  return readyPods > 1 ? { panic: { atMs: nowMs, pods: readyPods }, recent: [] } : { recent: [] };
}

/**
 * How many pods a revision should have (knative/serving, pkg/autoscaler/scaling/autoscaler.go). Pure.
 *
 * Worked example: target 70 in flight per pod, 2 ready pods, 500 in flight on average in the panic window and 90 in the
 * stable one: stable wants ⌈90/70⌉ = 2, panic ⌈500/70⌉ = 8, and 8/2 ≥ 2 (the threshold), so it panics and wants 8.
 */
export function decide(observed: Observation, state: DeciderState, config: ScalingConfig, nowMs: number): Decision {
  const ready = Math.max(1, observed.readyPods);
  const up = Math.ceil(config.maxScaleUpRate * ready);
  const down = config.isReachable ? Math.floor(ready / config.maxScaleDownRate) : 0;
  const wantedStable = Math.ceil(observed.stableAverage / config.targetPerPod);
  const wantedPanic = Math.ceil(observed.panicAverage / config.targetPerPod);
  const bound = (wanted: number) => {
    const clamped = Math.min(Math.max(wanted, down), up);
    return wanted > 0 ? Math.max(clamped, config.activationScale) : clamped;
  };
  const stablePods = bound(wantedStable);
  const panicPods = bound(wantedPanic);

  const isOver = wantedPanic / ready >= config.panicThreshold;
  const panic = nextPanic(state.panic, isOver, Math.max(stablePods, panicPods), config, nowMs);
  const { pods, recent } = delayed(panic?.pods ?? stablePods, state.recent, config, nowMs);
  return { pods, isPanicking: panic !== undefined, state: { panic, recent } };
}

/** Being over the threshold starts a panic and prolongs it; it ends a stable window after the last time. */
function nextPanic(
  panic: Panic | undefined,
  isOver: boolean,
  wanted: number,
  config: ScalingConfig,
  nowMs: number,
): Panic | undefined {
  const pods = panic ? Math.max(panic.pods, wanted) : wanted;
  if (isOver) return { atMs: nowMs, pods };
  return panic && nowMs - panic.atMs <= config.stableWindowMs ? { atMs: panic.atMs, pods } : undefined;
}

/** With a scale-down delay, what was wanted at any time within it still is; only while the revision is sent to. */
function delayed(
  pods: number,
  recent: DeciderState['recent'],
  { scaleDownDelayMs, isReachable }: ScalingConfig,
  nowMs: number,
): { pods: number; recent: DeciderState['recent'] } {
  if (!isReachable) return { pods, recent: [] };
  const kept = recent.filter((past) => past.atMs > nowMs - scaleDownDelayMs && past.pods > pods);
  const all = [...kept, { atMs: nowMs, pods }];
  return { pods: all[0]?.pods ?? pods, recent: all };
}
