import { parseGoDurationMs } from '../../lib/go-duration.ts';
import { type FieldError, fieldInvalid } from '../field-error.ts';

/** An annotation that holds a duration: not negative, in whole seconds. */
export function validateWholeSeconds(
  annotations: Record<string, string> | undefined,
  key: string,
  path: string,
): FieldError[] {
  const value = annotations?.[key];
  if (!value) return [];
  const name = key.slice(key.indexOf('/') + 1);
  const ms = parseGoDurationMs(value);
  const field = `${path}[${key}]`;
  if (ms === undefined) return [fieldInvalid(field, value, 'expected a duration such as 90s or 1m30s')];
  if (ms % 1000 !== 0) return [fieldInvalid(field, value, `${name}=${value} is not at second precision`)];
  return ms < 0 ? [fieldInvalid(field, value, `${name}=${value} must be positive`)] : [];
}
