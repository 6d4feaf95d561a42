import type { AutoscalerConfig } from '../../api/serving/autoscaler-config.ts';
import { annotationOf, autoscaling, windowMaxMs, windowMinMs } from '../../api/serving/autoscaling-annotations.ts';
import type { PodAutoscaler } from '../../api/serving/pod-autoscaler.ts';
import { parseGoDurationMs } from '../../lib/go-duration.ts';
import { int32Max } from '../../lib/int32.ts';

/** All that scaling one revision depends on, from its annotations over the operator's configuration. */
export interface ScalingConfig {
  metric: 'concurrency' | 'rps';
  /** What one pod is to take on average: the total times the utilization. */
  targetPerPod: number;
  stableWindowMs: number;
  panicWindowMs: number;
  panicThreshold: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  scaleDownDelayMs: number;
  /** What a revision that wakes gets at least; 1 unless given. */
  activationScale: number;
  minScale: number;
  /** 0: no limit. */
  maxScale: number;
  initialScale: number;
  isScaleToZeroEnabled: boolean;
  podRetentionMs: number;
  isReachable: boolean;
  /** A Route sends to the revision, so gateways speak of it as long as it has pods. */
  isRouted: boolean;
}

type Annotations = Record<string, string> | undefined;

/**
 * A Revision's annotations were validated when they came in, but a PodAutoscaler may be anybody's: what cannot be read
 * counts as absent, and what is out of bounds as the bound.
 */
export function scalingConfigOf(autoscaler: PodAutoscaler, config: AutoscalerConfig): ScalingConfig {
  const { annotations } = autoscaler.metadata;
  const metric = annotationOf(annotations, autoscaling.metric)?.value === 'rps' ? 'rps' : 'concurrency';
  const stableWindowMs = Math.max(
    windowMinMs,
    durationMs(annotations, autoscaling.window, windowMaxMs) ?? config.stableWindowMs,
  );
  const panicFraction = percentage(annotations, autoscaling.panicWindowPercentage) ?? config.panicWindowFraction;
  const isReachable = autoscaler.spec.reachability !== 'Unreachable';
  const maxScale = count(annotations, autoscaling.maxScale) ?? config.maxScale;
  return {
    metric,
    targetPerPod: targetPerPod(autoscaler, metric, config),
    stableWindowMs,
    // Whole seconds, at least one: the resolution of the windows.
    panicWindowMs: Math.max(1, Math.round((stableWindowMs / 1000) * Math.min(1, panicFraction))) * 1000,
    panicThreshold: percentage(annotations, autoscaling.panicThresholdPercentage) ?? config.panicThreshold,
    maxScaleUpRate: config.maxScaleUpRate,
    maxScaleDownRate: config.maxScaleDownRate,
    scaleDownDelayMs: durationMs(annotations, autoscaling.scaleDownDelay, windowMaxMs) ?? config.scaleDownDelayMs,
    activationScale: count(annotations, autoscaling.activationScale) ?? 1,
    // A revision that no Route sends to need not stay up.
    minScale: isReachable ? (count(annotations, autoscaling.minScale) ?? config.minScale) : 0,
    maxScale,
    initialScale: initialScaleOf(annotations, config),
    isScaleToZeroEnabled: config.isScaleToZeroEnabled,
    podRetentionMs: durationMs(annotations, autoscaling.podRetentionPeriod, windowMaxMs) ?? config.podRetentionMs,
    isReachable,
    isRouted: autoscaler.spec.reachability === 'Reachable',
  };
}

/** How many pods a new revision is created with: its minimum need not wait for the autoscaler. */
export function firstScaleOf(annotations: Annotations, config: AutoscalerConfig): number {
  return Math.max(initialScaleOf(annotations, config), count(annotations, autoscaling.minScale) ?? config.minScale);
}

/** How many pods a new revision must have had to count as up. */
function initialScaleOf(annotations: Annotations, config: AutoscalerConfig): number {
  const initial = count(annotations, autoscaling.initialScale);
  if (initial === undefined) return config.initialScale;
  return initial === 0 && !config.allowZeroInitialScale ? config.initialScale : initial;
}

/**
 * The total a pod is given, times the share of it to be used: for concurrency the target annotation, else the
 * container's limit, else the operator's default (100 × 0.7 = 70 requests in flight per pod); never above the
 * container's limit.
 */
function targetPerPod(autoscaler: PodAutoscaler, metric: 'concurrency' | 'rps', config: AutoscalerConfig): number {
  const { annotations } = autoscaler.metadata;
  const utilization = percentage(annotations, autoscaling.targetUtilizationPercentage) ?? config.targetUtilization;
  const target = number(annotations, autoscaling.target);
  if (metric === 'rps') return Math.max(0.01, (target ?? config.rpsTarget) * utilization);
  const limit = autoscaler.spec.containerConcurrency ?? 0;
  const total = target ?? (limit > 0 ? limit : config.concurrencyTarget);
  return Math.max(0.01, (limit > 0 ? Math.min(total, limit) : total) * utilization);
}

function number(annotations: Annotations, keys: readonly string[]): number | undefined {
  const text = annotationOf(annotations, keys)?.value;
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** A number of pods, as the API takes one. */
function count(annotations: Annotations, keys: readonly string[]): number | undefined {
  const value = number(annotations, keys);
  return value === undefined ? undefined : Math.min(Math.floor(value), int32Max);
}

function percentage(annotations: Annotations, keys: readonly string[]): number | undefined {
  const value = number(annotations, keys);
  return value === undefined ? undefined : value / 100;
}

function durationMs(annotations: Annotations, keys: readonly string[], maxMs: number): number | undefined {
  const text = annotationOf(annotations, keys)?.value;
  const ms = text === undefined ? undefined : parseGoDurationMs(text);
  return ms === undefined ? undefined : Math.min(Math.max(0, ms), maxMs);
}
