import { parseGoDurationMs } from '../../lib/go-duration.ts';
import { int32Max } from '../../lib/int32.ts';
import type { Configuration } from '../kind.ts';
import { windowMaxMs, windowMinMs } from './autoscaling-annotations.ts';
import { systemNamespace } from './names.ts';

export const autoscalerConfigName = 'config-autoscaler';

/** Knative's `config-autoscaler`, what all revisions have in common. Fractions are of 1, durations in milliseconds. */
export interface AutoscalerConfig {
  targetUtilization: number;
  concurrencyTarget: number;
  rpsTarget: number;
  stableWindowMs: number;
  /** Of the stable window. */
  panicWindowFraction: number;
  /** How many times its capacity a revision is over when it panics. */
  panicThreshold: number;
  /** The most that one decision multiplies, or divides, the ready pods by. */
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  isScaleToZeroEnabled: boolean;
  podRetentionMs: number;
  scaleDownDelayMs: number;
  initialScale: number;
  allowZeroInitialScale: boolean;
  minScale: number;
  /** 0: no limit. */
  maxScale: number;
  maxScaleLimit: number;
}

/** What is in force where objects are judged: Knative's own while the ConfigMap is wrong. */
export function autoscalerConfigOf(config: Configuration): AutoscalerConfig {
  try {
    return parseAutoscalerConfig(config[`${systemNamespace}/${autoscalerConfigName}`] ?? {});
  } catch {
    return parseAutoscalerConfig({}); // Whoever scales by it tells of it.
  }
}

/** Throws an Error that names the key when a value is not one, or contradicts another. */
export function parseAutoscalerConfig(data: Readonly<Record<string, string>>): AutoscalerConfig {
  const config: AutoscalerConfig = {
    targetUtilization: percentage(data, 'container-concurrency-target-percentage', 70, { min: 1, max: 100 }),
    concurrencyTarget: number(data, 'container-concurrency-target-default', 100, { min: 0.01 }),
    rpsTarget: number(data, 'requests-per-second-target-default', 200, { min: 0.01 }),
    stableWindowMs: duration(data, 'stable-window', 60_000, { min: windowMinMs, max: windowMaxMs }),
    panicWindowFraction: percentage(data, 'panic-window-percentage', 10, { min: 1, max: 100 }),
    panicThreshold: percentage(data, 'panic-threshold-percentage', 200, { min: 110, max: 1000 }),
    maxScaleUpRate: number(data, 'max-scale-up-rate', 1000, { min: 1.01 }),
    maxScaleDownRate: number(data, 'max-scale-down-rate', 2, { min: 1.01 }),
    isScaleToZeroEnabled: boolean(data, 'enable-scale-to-zero', true),
    podRetentionMs: duration(data, 'scale-to-zero-pod-retention-period', 0, { min: 0, max: windowMaxMs }),
    scaleDownDelayMs: duration(data, 'scale-down-delay', 0, { min: 0, max: windowMaxMs }),
    initialScale: count(data, 'initial-scale', 1),
    allowZeroInitialScale: boolean(data, 'allow-zero-initial-scale', false),
    minScale: count(data, 'min-scale', 0),
    maxScale: count(data, 'max-scale', 0),
    maxScaleLimit: count(data, 'max-scale-limit', 0),
  };
  if (config.initialScale === 0 && !config.allowZeroInitialScale) {
    throw new Error('initial-scale is 0: allow-zero-initial-scale must be true for that');
  }
  if (config.maxScale > 0 && config.maxScale < config.minScale) {
    throw new Error(`max-scale is ${config.maxScale}: min-scale is ${config.minScale}`);
  }
  if (config.maxScaleLimit > 0 && (config.maxScale > config.maxScaleLimit || config.maxScale === 0)) {
    throw new Error(`max-scale is ${config.maxScale}: it must be from 1 to max-scale-limit, ${config.maxScaleLimit}`);
  }
  return config;
}

type Data = Readonly<Record<string, string>>;
interface Bounds {
  min: number;
  max?: number;
}

function number(data: Data, key: string, fallback: number, { min, max = Number.MAX_SAFE_INTEGER }: Bounds): number {
  const text = data[key];
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= min && value <= max)) throw new Error(`${key} is ${JSON.stringify(text)}: expected ${min} to ${max}`);
  return value;
}

/** Percentages are written either as 70 or as 0.7. */
function percentage(data: Data, key: string, fallback: number, bounds: Bounds): number {
  const text = data[key];
  const scaled = text !== undefined && Number(text) <= 1 && Number(text) > 0 ? String(Number(text) * 100) : text;
  return number(scaled === undefined ? {} : { [key]: scaled }, key, fallback, bounds) / 100;
}

function count(data: Data, key: string, fallback: number): number {
  const value = number(data, key, fallback, { min: 0, max: int32Max });
  if (!Number.isInteger(value)) throw new Error(`${key} is ${value}: expected a whole number`);
  return value;
}

function duration(data: Data, key: string, fallbackMs: number, bounds: { min: number; max: number }): number {
  const text = data[key];
  if (text === undefined) return fallbackMs;
  const ms = parseGoDurationMs(text);
  if (ms === undefined) throw new Error(`${key} is ${JSON.stringify(text)}: expected a duration such as 60s`);
  if (ms < bounds.min || ms > bounds.max) {
    throw new Error(`${key} is ${text}: expected ${bounds.min / 1000}s to ${bounds.max / 1000}s`);
  }
  return ms;
}

function boolean(data: Data, key: string, fallback: boolean): boolean {
  const text = data[key];
  if (text === undefined) return fallback;
  if (/^(true|t|1)$/i.test(text)) return true;
  if (/^(false|f|0)$/i.test(text)) return false;
  throw new Error(`${key} is ${JSON.stringify(text)}: expected true or false`);
}
