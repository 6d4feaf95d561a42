import { parseGoDurationMs } from '../../lib/go-duration.ts';
import { type ConfigReader, configReader } from './config-map.ts';

export const gcConfigName = 'config-gc';

/** Knative's `config-gc`: when revisions that nobody uses are deleted. An age that is disabled is undefined. */
export interface GcConfig {
  retainSinceCreateMs: number | undefined;
  retainSinceLastActiveMs: number | undefined;
  /** So many revisions are kept, however old. */
  minNonActive: number;
  /** So many at most, however young; Infinity when that is disabled. */
  maxNonActive: number;
}

export const gcConfigReader = (): ConfigReader<GcConfig> => configReader(gcConfigName, parseGcConfig);

/** Throws an Error that names the key that is wrong. */
export function parseGcConfig(data: Record<string, string>): GcConfig {
  const config: GcConfig = {
    retainSinceCreateMs: duration(data, 'retain-since-create-time', 48 * 3_600_000),
    retainSinceLastActiveMs: duration(data, 'retain-since-last-active-time', 15 * 3_600_000),
    minNonActive: count(data, 'min-non-active-revisions', 20),
    maxNonActive: count(data, 'max-non-active-revisions', 1000),
  };
  if (config.minNonActive > config.maxNonActive) {
    throw new Error(
      `min-non-active-revisions is ${config.minNonActive}: max-non-active-revisions is ${config.maxNonActive}`,
    );
  }
  return config;
}

function duration(data: Record<string, string>, key: string, fallbackMs: number): number | undefined {
  const text = data[key];
  if (text === undefined) return fallbackMs;
  if (text.toLowerCase() === 'disabled') return undefined;
  const ms = parseGoDurationMs(text);
  if (ms === undefined || ms < 0) throw new Error(`${key} is ${JSON.stringify(text)}: expected a duration or disabled`);
  return ms;
}

function count(data: Record<string, string>, key: string, fallback: number): number {
  const text = data[key];
  if (text === undefined) return fallback;
  if (text.toLowerCase() === 'disabled') return Number.POSITIVE_INFINITY;
  if (!/^\d+$/.test(text)) throw new Error(`${key} is ${JSON.stringify(text)}: expected a whole number or disabled`);
  return Number(text);
}
