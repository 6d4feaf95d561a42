import { parseDigest } from './digest.ts';
import type { ImageConfig } from './manifest.ts';

/** A configuration as it may come: what is not there, or null, is left out. */
export type ReadImageConfig = Pick<ImageConfig, 'os' | 'architecture' | 'config' | 'rootfs'>;

/**
 * Reads an image's configuration (OCI image specification 1.1, "Image Configuration"); throws an Error that names the
 * field, what it holds and what it should. Whoever pushed it may have written anything there.
 */
export function parseImageConfig(bytes: Buffer): ReadImageConfig {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Error("the image's configuration is not JSON", { cause: error });
  }
  const top = asObject(value, '') ?? wrong('', value, 'an object');
  const config = asObject(top.config, 'config') ?? {};
  const rootfs = asObject(top.rootfs, 'rootfs') ?? {};
  const diffIds = asTexts(rootfs.diff_ids, 'rootfs.diff_ids') ?? [];
  diffIds.forEach((diffId, i) => {
    if (!parseDigest(diffId)) wrong(`rootfs.diff_ids[${i}]`, diffId, 'a digest');
  });
  asObject(config.ExposedPorts, 'config.ExposedPorts');
  if (top.history !== undefined && top.history !== null && !Array.isArray(top.history)) {
    wrong('history', top.history, 'a list');
  }
  const found: ImageConfig['config'] = {};
  set(found, 'Entrypoint', asTexts(config.Entrypoint, 'config.Entrypoint'));
  set(found, 'Cmd', asTexts(config.Cmd, 'config.Cmd'));
  set(found, 'Env', asTexts(config.Env, 'config.Env'));
  set(found, 'WorkingDir', asText(config.WorkingDir, 'config.WorkingDir'));
  set(found, 'User', asText(config.User, 'config.User'));
  set(found, 'StopSignal', asText(config.StopSignal, 'config.StopSignal'));
  set(found, 'Labels', asTextMap(config.Labels, 'config.Labels'));
  return {
    os: asText(top.os, 'os') ?? wrong('os', top.os, 'a text'),
    architecture: asText(top.architecture, 'architecture') ?? wrong('architecture', top.architecture, 'a text'),
    config: found,
    rootfs: { type: 'layers', diff_ids: diffIds },
  };
}

function set<K extends keyof ImageConfig['config']>(
  config: ImageConfig['config'],
  field: K,
  value: ImageConfig['config'][K] | undefined,
): void {
  if (value !== undefined) config[field] = value;
}

function asText(value: unknown, field: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : wrong(field, value, 'a text');
}

function asTexts(value: unknown, field: string): string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) return wrong(field, value, 'a list of texts');
  value.forEach((item, i) => {
    if (typeof item !== 'string') wrong(`${field}[${i}]`, item, 'a text');
  });
  return value;
}

function asTextMap(value: unknown, field: string): Record<string, string> | undefined {
  const map = asObject(value, field);
  for (const [key, item] of Object.entries(map ?? {})) {
    if (typeof item !== 'string') wrong(`${field}[${key}]`, item, 'a text');
  }
  return map as Record<string, string> | undefined;
}

function asObject(value: unknown, field: string): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) return wrong(field, value, 'an object');
  return value as Record<string, unknown>;
}

function wrong(field: string, value: unknown, expected: string): never {
  const shown = value === undefined ? 'missing' : JSON.stringify(value).slice(0, 100);
  throw new Error(
    `the image's configuration is not valid: ${field === '' ? 'it' : field} is ${shown}: must be ${expected}`,
  );
}
