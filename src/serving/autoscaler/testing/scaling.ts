import type { ScalingConfig } from '../scaling-config.ts';

/** Knative's defaults, with a target that is easy to reckon with. */
export const scaling: ScalingConfig = {
  metric: 'concurrency',
  targetPerPod: 10,
  stableWindowMs: 60_000,
  panicWindowMs: 6_000,
  panicThreshold: 2,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  scaleDownDelayMs: 0,
  activationScale: 1,
  minScale: 0,
  maxScale: 0,
  initialScale: 1,
  isScaleToZeroEnabled: true,
  podRetentionMs: 0,
  isReachable: true,
  isRouted: false,
};
