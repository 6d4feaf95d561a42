import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { ApiError } from '../../../api/status.ts';
import { KittiwakeError } from '../../../lib/errors.ts';
import { toYaml } from '../../../lib/yaml.ts';
import type { Exchange } from './exchange.ts';

const compress = promisify(gzip);
/** Smaller answers are not worth the time (kube-apiserver's threshold). */
const gzipBytesMin = 128 * 1024;
const gzipLevel = 1;

/** Kubernetes' limits: all warnings together, and each of them once they are over it. */
const warningsBytesMax = 4 * 1024;
const warningCharactersMax = 256;

export interface Answer {
  code?: number;
  headers?: Record<string, string>;
  warnings?: readonly string[];
}

/** Answers with an object, given as a value or as its JSON text. */
export async function sendObject(exchange: Exchange, object: object | string, answer: Answer = {}): Promise<void> {
  const isYaml = /^application\/yaml\b/.test(exchange.request.headers.accept ?? '');
  if (isYaml) {
    const value = typeof object === 'string' ? JSON.parse(object) : object;
    return sendText(exchange, toYaml(value), {
      ...answer,
      headers: { ...answer.headers, 'content-type': 'application/yaml' },
    });
  }
  const text = typeof object === 'string' ? object : JSON.stringify(object);
  return sendText(exchange, `${text}\n`, {
    ...answer,
    headers: { 'content-type': 'application/json', ...answer.headers },
  });
}

export async function sendText(exchange: Exchange, text: string | Buffer, answer: Answer = {}): Promise<void> {
  const { request, response } = exchange;
  let body = typeof text === 'string' ? Buffer.from(text) : text;
  const headers: Record<string, string | string[] | number> = {
    'content-type': 'text/plain; charset=utf-8',
    ...answer.headers,
  };
  if (body.length > gzipBytesMin && /\bgzip\b/.test(`${request.headers['accept-encoding'] ?? ''}`)) {
    body = await compress(body, { level: gzipLevel });
    headers['content-encoding'] = 'gzip';
    headers.vary = headers.vary ? `${headers.vary}, Accept-Encoding` : 'Accept-Encoding';
  }
  if (response.destroyed || response.headersSent) return;
  headers['content-length'] = body.length;
  if (answer.warnings && answer.warnings.length > 0) headers.warning = warningHeaders(answer.warnings);
  response.writeHead(answer.code ?? 200, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Answers with the Status of what went wrong; anything but an ApiError or a catalogued error is an InternalError. */
export function sendError(exchange: Exchange, error: unknown): Promise<void> {
  const failure = asApiError(error);
  const status = failure.toStatus();
  const retryAfter = status.details?.retryAfterSeconds;
  const headers = retryAfter === undefined ? {} : { 'retry-after': `${retryAfter}` };
  return sendText(exchange, `${JSON.stringify(status)}\n`, {
    code: failure.code,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof KittiwakeError) return new ApiError(error.status, error.code, error.message);
  return new ApiError(500, 'InternalError', 'Internal error occurred: the log of the API server says more', {
    causes: [{ message: error instanceof Error ? error.message : String(error) }],
  });
}

function warningHeaders(warnings: readonly string[]): string[] {
  const length = warnings.reduce((sum, warning) => sum + warning.length, 0);
  const cut = length > warningsBytesMax ? warnings.map((w) => w.slice(0, warningCharactersMax)) : warnings;
  const kept: string[] = [];
  let size = 0;
  for (const warning of new Set(cut)) {
    size += warning.length;
    if (size > warningsBytesMax) break;
    // A header holds visible characters only; quotes and backslashes are escaped (RFC 7234, 5.5).
    kept.push(`299 - "${warning.replace(/[^\x20-\x7e]/g, ' ').replace(/["\\]/g, '\\$&')}"`);
  }
  return kept;
}
