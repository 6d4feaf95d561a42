import type { FieldError } from './field-error.ts';

/** The body of every failed API call (Kubernetes API conventions, "Response Status Kind"). */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: { continue?: string };
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code?: number;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: { reason?: string; message?: string; field?: string }[];
  retryAfterSeconds?: number;
}

/** What the API server throws and each Client rethrows: `code` is the HTTP status, `reason` Kubernetes' word for it. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails;

  constructor(code: number, reason: string, message: string, details: StatusDetails = {}) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  toStatus(): Status {
    const { code, reason, message, details } = this;
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code };
  }
}

/** The error that a Status tells of. Throws TypeError when `status` is not one. */
export function apiErrorOf(status: Status, code = status?.code ?? 500): ApiError {
  if (status?.kind !== 'Status') throw new TypeError('not a Status');
  return new ApiError(code, status.reason ?? 'Unknown', status.message ?? `status ${code}`, status.details ?? {});
}

interface Named {
  group: string;
  plural: string;
  kind: string;
}

const qualified = (kind: Pick<Named, 'group' | 'plural'>) =>
  kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;

export const notFound = (kind: Named, name: string) =>
  new ApiError(404, 'NotFound', `${qualified(kind)} "${name}" not found`, {
    name,
    group: kind.group,
    kind: kind.plural,
  });

export const alreadyExists = (kind: Named, name: string) =>
  new ApiError(409, 'AlreadyExists', `${qualified(kind)} "${name}" already exists`, {
    name,
    group: kind.group,
    kind: kind.plural,
  });

export const conflict = (kind: Named, name: string, why: string) =>
  new ApiError(409, 'Conflict', `Operation cannot be fulfilled on ${qualified(kind)} "${name}": ${why}`, {
    name,
    group: kind.group,
    kind: kind.plural,
  });

/** `kind` is absent when it is about no object. */
export function forbidden(
  kind: Pick<Named, 'group' | 'plural'> | undefined,
  name: string,
  why: string,
  more: StatusDetails = {},
): ApiError {
  if (!kind) return new ApiError(403, 'Forbidden', `forbidden: ${why}`, more);
  const { group, plural } = kind;
  const subject = name === '' ? qualified(kind) : `${qualified(kind)} ${JSON.stringify(name)}`;
  const details = { ...(name && { name }), ...(group && { group }), kind: plural, ...more };
  return new ApiError(403, 'Forbidden', `${subject} is forbidden: ${why}`, details);
}

export const badRequest = (message: string) => new ApiError(400, 'BadRequest', message);

export const invalid = (kind: Named, name: string, errors: readonly FieldError[]) => {
  const listed = errors.map((e) => `${e.field}: ${e.message}`);
  const message = listed.length === 1 ? listed[0] : `[${listed.join(', ')}]`;
  const group = kind.group === '' ? '' : `.${kind.group}`;
  return new ApiError(422, 'Invalid', `${kind.kind}${group} "${name}" is invalid: ${message}`, {
    name,
    group: kind.group,
    kind: kind.kind,
    causes: errors.map(({ field, reason, message }) => ({ field, reason, message })),
  });
};

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.code === 404;
export const isConflict = (error: unknown): boolean => error instanceof ApiError && error.reason === 'Conflict';
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiError && error.reason === 'AlreadyExists';
