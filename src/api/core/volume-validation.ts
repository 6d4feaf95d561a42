import { validateTokenSeconds } from '../authentication/token-request.ts';
import { type FieldError, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { dnsLabelRule, isDnsLabel } from '../names.ts';
import { parseQuantity, quantityRule } from './quantity.ts';
import type { DownwardFile, KeyToPath, Volume, VolumeMount } from './volume.ts';

/** What the schema of a volume cannot say, as in Kubernetes' pkg/apis/core/validation. */
export function validateVolume(volume: Volume, at: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!volume.name) errors.push(fieldRequired(`${at}.name`));
  else if (!isDnsLabel(volume.name)) errors.push(fieldInvalid(`${at}.name`, volume.name, dnsLabelRule));
  const sources = Object.keys(volume).filter((key) => key !== 'name');
  for (const extra of sources.slice(1)) {
    errors.push(fieldForbidden(`${at}.${extra}`, 'may not specify more than 1 volume type'));
  }
  const { configMap, secret, projected, downwardAPI } = volume;
  if (configMap && !configMap.name) errors.push(fieldRequired(`${at}.configMap.name`));
  if (secret && !secret.secretName) errors.push(fieldRequired(`${at}.secret.secretName`));
  errors.push(...validateItems(configMap?.items, `${at}.configMap.items`));
  errors.push(...validateItems(secret?.items, `${at}.secret.items`));
  errors.push(...validateFiles(downwardAPI?.items, `${at}.downwardAPI.items`));
  projected?.sources?.forEach((source, i) => {
    const path = `${at}.projected.sources[${i}]`;
    errors.push(...validateItems(source.configMap?.items, `${path}.configMap.items`));
    errors.push(...validateItems(source.secret?.items, `${path}.secret.items`));
    errors.push(...validateFiles(source.downwardAPI?.items, `${path}.downwardAPI.items`));
    const token = source.serviceAccountToken;
    if (token) {
      errors.push(...validateTokenSeconds(token.expirationSeconds, `${path}.serviceAccountToken.expirationSeconds`));
      errors.push(...validateInnerPath(token.path, `${path}.serviceAccountToken.path`));
    }
    if (Object.keys(source).length > 1) {
      errors.push(fieldForbidden(path, 'may not specify more than 1 volume type per source'));
    }
  });
  for (const kind of ['configMap', 'secret', 'projected', 'downwardAPI'] as const) {
    errors.push(...validateMode(volume[kind]?.defaultMode, `${at}.${kind}.defaultMode`));
  }
  if (volume.hostPath) errors.push(...validateHostPath(volume.hostPath, `${at}.hostPath`));
  const size = volume.emptyDir?.sizeLimit;
  if (size !== undefined && parseQuantity(size) === undefined) {
    errors.push(fieldInvalid(`${at}.emptyDir.sizeLimit`, size, quantityRule));
  }
  return errors;
}

function validateHostPath({ path, type }: { path: string; type?: string }, at: string): FieldError[] {
  if (!path) return [fieldRequired(`${at}.path`)];
  const errors = path.split('/').includes('..') ? [fieldInvalid(`${at}.path`, path, "must not contain '..'")] : [];
  if (type !== undefined && !hostPathTypes.includes(type)) {
    errors.push(fieldNotSupported(`${at}.type`, type, hostPathTypes));
  }
  return errors;
}

const hostPathTypes = [
  '',
  ...['BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket'],
];

/** The parts of a volume mount that are paths within the volume. */
export function validateSubPaths({ subPath, subPathExpr }: VolumeMount, at: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [field, path] of Object.entries({ subPath, subPathExpr })) {
    if (path && (path.startsWith('/') || path.split('/').includes('..'))) {
      errors.push(fieldInvalid(`${at}.${field}`, path, "must be a relative path without '..'"));
    }
  }
  if (subPath && subPathExpr) {
    errors.push(fieldInvalid(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
  }
  return errors;
}

function validateItems(items: readonly KeyToPath[] | undefined, at: string): FieldError[] {
  return (items ?? []).flatMap(({ key, path, mode }, i) => [
    ...(key ? [] : [fieldRequired(`${at}[${i}].key`)]),
    ...validateInnerPath(path, `${at}[${i}].path`),
    ...validateMode(mode, `${at}[${i}].mode`),
  ]);
}

function validateFiles(items: readonly DownwardFile[] | undefined, at: string): FieldError[] {
  return (items ?? []).flatMap(({ path, mode }, i) => [
    ...validateInnerPath(path, `${at}[${i}].path`),
    ...validateMode(mode, `${at}[${i}].mode`),
  ]);
}

/** A path of a file that the node writes: it stays within the volume, and is not one of the node's own (`..data`). */
function validateInnerPath(path: string, at: string): FieldError[] {
  if (!path) return [fieldRequired(at)];
  if (path.startsWith('/')) return [fieldInvalid(at, path, 'must be a relative path')];
  if (path.split('/').includes('..')) return [fieldInvalid(at, path, "must not contain '..'")];
  return path.startsWith('..') ? [fieldInvalid(at, path, "must not start with '..'")] : [];
}

function validateMode(mode: number | undefined, at: string): FieldError[] {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return [];
  return [fieldInvalid(at, mode, 'must be a number between 0 and 0777 (octal), both inclusive')];
}
