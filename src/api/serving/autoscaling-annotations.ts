import { formatGoDuration, parseGoDurationMs } from '../../lib/go-duration.ts';
import { int32Max } from '../../lib/int32.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';

const group = 'autoscaling.knative.dev';

/** The annotations that steer a revision's scaling: the name to write, then the older spelling that still works. */
export const autoscaling = {
  class: [`${group}/class`],
  metric: [`${group}/metric`],
  metricAggregationAlgorithm: [`${group}/metric-aggregation-algorithm`, `${group}/metricAggregationAlgorithm`],
  minScale: [`${group}/min-scale`, `${group}/minScale`],
  maxScale: [`${group}/max-scale`, `${group}/maxScale`],
  initialScale: [`${group}/initial-scale`, `${group}/initialScale`],
  activationScale: [`${group}/activation-scale`],
  scaleDownDelay: [`${group}/scale-down-delay`, `${group}/scaleDownDelay`],
  podRetentionPeriod: [`${group}/scale-to-zero-pod-retention-period`, `${group}/scaleToZeroPodRetentionPeriod`],
  target: [`${group}/target`],
  targetUtilizationPercentage: [`${group}/target-utilization-percentage`, `${group}/targetUtilizationPercentage`],
  targetBurstCapacity: [`${group}/target-burst-capacity`, `${group}/targetBurstCapacity`],
  window: [`${group}/window`],
  panicWindowPercentage: [`${group}/panic-window-percentage`, `${group}/panicWindowPercentage`],
  panicThresholdPercentage: [`${group}/panic-threshold-percentage`, `${group}/panicThresholdPercentage`],
} as const;

const kpaClass = 'kpa.autoscaling.knative.dev';
const hpaClass = 'hpa.autoscaling.knative.dev';
export const windowMinMs = 6_000;
export const windowMaxMs = 3_600_000;

/** The first of `keys` that is there. */
export function annotationOf(
  annotations: Record<string, string> | undefined,
  keys: readonly string[],
): { key: string; value: string } | undefined {
  for (const key of keys) {
    const value = annotations?.[key];
    if (value !== undefined) return { key, value };
  }
  return undefined;
}

/** What the operator's configuration says about the annotations' bounds. */
export interface AnnotationLimits {
  allowZeroInitialScale: boolean;
  /** 0: no limit. */
  maxScaleLimit: number;
}

/** What is wrong with the scaling annotations of a revision's template; `path` names the annotations' field. */
export function validateAutoscalingAnnotations(
  annotations: Record<string, string> | undefined,
  path: string,
  limits: AnnotationLimits,
): FieldError[] {
  if (annotations === undefined) return [];
  return [
    ...validateClassAndMetric(annotations, path),
    ...validateScales(annotations, path, limits),
    ...validateNumbers(annotations, path),
    ...validateDurations(annotations, path),
  ];
}

/** Whether both say the same about scaling: what was taken in is not judged anew because the limits have changed. */
export function scaleAlike(a: Record<string, string> = {}, b: Record<string, string> = {}): boolean {
  return [...Object.keys(a), ...Object.keys(b)].every((key) => !key.startsWith(group) || a[key] === b[key]);
}

/** On a Service, Configuration or Route these annotations do nothing: they belong on the revision's template. */
export function validateNoAutoscalingAnnotations(
  annotations: Record<string, string> | undefined,
  path = 'metadata.annotations',
): FieldError[] {
  return Object.keys(annotations ?? {})
    .filter((key) => key.startsWith(group))
    .map((key) =>
      fieldInvalid(
        path,
        key,
        `invalid key name "${key}": autoscaling annotations must be put under ` +
          '"spec.template.metadata.annotations" to work',
      ),
    );
}

type Found = { key: string; value: string };

function validateClassAndMetric(annotations: Record<string, string>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const scalingClass = annotationOf(annotations, autoscaling.class);
  const className = scalingClass?.value ?? kpaClass;
  if (scalingClass && className.endsWith('.knative.dev') && className !== kpaClass && className !== hpaClass) {
    errors.push(wrong(path, scalingClass, `the classes of ${group} are ${kpaClass} and ${hpaClass}`));
  }
  const metric = annotationOf(annotations, autoscaling.metric);
  if (metric && className === kpaClass && metric.value !== 'concurrency' && metric.value !== 'rps') {
    errors.push(wrong(path, metric, `the metrics of class ${kpaClass} are concurrency and rps`));
  }
  const algorithm = annotationOf(annotations, autoscaling.metricAggregationAlgorithm);
  const algorithms = ['', 'linear', 'weighted-exponential', 'weightedExponential'];
  if (algorithm && className === kpaClass && !algorithms.includes(algorithm.value)) {
    errors.push(wrong(path, algorithm, 'the algorithms are linear and weighted-exponential'));
  }
  return errors;
}

function validateScales(annotations: Record<string, string>, path: string, limits: AnnotationLimits): FieldError[] {
  const errors: FieldError[] = [];
  const scale = (keys: readonly string[]): number => {
    const found = annotationOf(annotations, keys);
    if (!found) return 0;
    if (!/^[+-]?\d+$/.test(found.value)) {
      errors.push(wrong(path, found, 'expected a whole number'));
      return 0;
    }
    const value = Number(found.value);
    if (value >= 0 && value <= int32Max) return value;
    errors.push(outOfBounds(path, found, 0, int32Max));
    return 0;
  };

  const min = scale(autoscaling.minScale);
  const max = scale(autoscaling.maxScale);
  if (max !== 0 && max < min) {
    errors.push(
      fieldInvalid(at(path, autoscaling.maxScale[0]), String(max), `max-scale=${max} is less than min-scale=${min}`),
    );
  }
  const maxScale = annotationOf(annotations, autoscaling.maxScale);
  if (maxScale && limits.maxScaleLimit > 0) {
    if (max > limits.maxScaleLimit) errors.push(outOfBounds(path, maxScale, 1, limits.maxScaleLimit));
    if (max === 0)
      errors.push(wrong(path, maxScale, `max-scale=0 (unlimited), must be less than ${limits.maxScaleLimit}`));
  }
  errors.push(...validateActivationScale(annotations, path, min, max));

  const initial = annotationOf(annotations, autoscaling.initialScale);
  if (initial && !/^\d+$/.test(initial.value)) errors.push(wrong(path, initial, 'expected a whole number, 0 or more'));
  else if (initial && Number(initial.value) === 0 && !limits.allowZeroInitialScale) {
    errors.push(wrong(path, initial, 'initial-scale=0 not allowed by cluster'));
  }
  return errors;
}

function validateActivationScale(
  annotations: Record<string, string>,
  path: string,
  min: number,
  max: number,
): FieldError[] {
  const activation = annotationOf(annotations, autoscaling.activationScale);
  if (!activation) return [];
  if (!/^[+-]?\d+$/.test(activation.value)) return [wrong(path, activation, 'expected a whole number')];
  const value = Number(activation.value);
  if (min > value) return [wrong(path, activation, `min-scale=${min} is greater than activation-scale=${value}`)];
  if (max !== 0 && max < value) {
    return [wrong(path, activation, `max-scale=${max} is less than activation-scale=${value}`)];
  }
  return value < 2 ? [wrong(path, activation, `activation-scale=${value} must be greater than 1`)] : [];
}

function validateNumbers(annotations: Record<string, string>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const check = (keys: readonly string[], isAllowed: (value: number) => boolean, remedy: string) => {
    const found = annotationOf(annotations, keys);
    if (!found) return;
    const value = found.value.trim() === '' ? Number.NaN : Number(found.value);
    if (Number.isNaN(value)) errors.push(wrong(path, found, 'expected a number'));
    else if (!isAllowed(value)) errors.push(wrong(path, found, remedy.replace('$', found.value)));
  };
  const within = (low: number, high: number) => (value: number) => value >= low && value <= high;
  check(autoscaling.panicWindowPercentage, within(1, 100), 'expected 1 <= $ <= 100');
  check(autoscaling.panicThresholdPercentage, within(110, 1000), 'expected 110 <= $ <= 1000');
  check(autoscaling.target, (value) => value >= 0.01, 'target $ should be at least 0.01');
  check(autoscaling.targetUtilizationPercentage, within(1, 100), 'expected 1 <= $ <= 100');
  check(
    autoscaling.targetBurstCapacity,
    (value) => value >= 0 || value === -1,
    'expected 0 or more, or -1 for no limit',
  );
  return errors;
}

function validateDurations(annotations: Record<string, string>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const check = (keys: readonly string[], minMs: number, isWholeSeconds: boolean) => {
    const found = annotationOf(annotations, keys);
    if (!found) return;
    const ms = parseGoDurationMs(found.value);
    if (ms === undefined) errors.push(wrong(path, found, 'expected a duration such as 90s or 1m30s'));
    else if (ms < minMs || ms > windowMaxMs) {
      errors.push(outOfBounds(path, found, formatGoDuration(minMs), formatGoDuration(windowMaxMs)));
    } else if (isWholeSeconds && ms % 1000 !== 0) {
      errors.push(wrong(path, found, 'must be specified with at most second precision'));
    }
  };
  check(autoscaling.window, windowMinMs, true);
  check(autoscaling.scaleDownDelay, 0, true);
  check(autoscaling.podRetentionPeriod, 0, false);
  return errors;
}

const at = (path: string, key: string) => `${path}[${key}]`;

const wrong = (path: string, found: Found, remedy: string) => fieldInvalid(at(path, found.key), found.value, remedy);

const outOfBounds = (path: string, found: Found, low: number | string, high: number | string) =>
  wrong(path, found, `expected ${low} <= ${found.value} <= ${high}`);
