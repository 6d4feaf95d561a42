import type { ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { createGzip, gzip } from 'node:zlib';
import { toYaml } from '../../../lib/yaml.ts';
import { asApiError } from '../machinery.ts';
import { type Exchange, isGone } from './exchange.ts';
import type { Limits } from './limits.ts';

const compress = promisify(gzip);
/** Smaller answers are not worth the time (kube-apiserver's threshold), and are sent whole. */
const gzipBytesMin = 128 * 1024;
const gzipLevel = 1;

/** What is written at once: a client that does not read keeps no more than this waiting in the server. */
export const sliceBytes = 64 * 1024;
/** After so much of a long answer the event loop gets a turn. */
const turnBytes = 512 * 1024;

/** YAML is made by hand-written code: larger objects are answered in their JSON form, which is YAML too. */
const yamlCharactersMax = 256 * 1024;

/** Kubernetes' limits: all warnings together, and each of them once they are over it. */
const warningsBytesMax = 4 * 1024;
const warningCharactersMax = 256;

export interface Answer {
  code?: number;
  headers?: Record<string, string>;
  warnings?: readonly string[];
}

export const wantsYaml = ({ request }: Exchange): boolean => /^application\/yaml\b/.test(request.headers.accept ?? '');

/** Answers with an object, given as a value or as its JSON text. */
export async function sendObject(exchange: Exchange, object: object | string, answer: Answer = {}): Promise<void> {
  const text = typeof object === 'string' ? object : JSON.stringify(object);
  const isYaml = wantsYaml(exchange);
  const type = isYaml ? 'application/yaml' : 'application/json';
  const body = isYaml ? yamlOf(text) : `${text}\n`;
  return sendPieces(exchange, [body], { ...answer, headers: { 'content-type': type, ...answer.headers } });
}

/** The YAML of a JSON text. */
export const yamlOf = (text: string): string =>
  text.length > yamlCharactersMax ? `${text}\n` : toYaml(JSON.parse(text));

/**
 * Answers with a text that comes in pieces: what is short is sent whole, what is long as the client takes it, so that
 * nobody's answer waits in memory, and nobody waits for the making of a long one.
 */
export async function sendPieces(exchange: Exchange, pieces: Iterable<string>, answer: Answer): Promise<void> {
  const { request, response, signal } = exchange;
  const rest = pieces[Symbol.iterator]();
  let text = '';
  let next = rest.next();
  for (; !next.done && text.length <= gzipBytesMin; next = rest.next()) text += next.value;
  if (next.done && text.length <= gzipBytesMin) return sendText(exchange, text, answer);
  if (isGone(exchange) || response.headersSent) return;
  const headers = headersOf(answer);
  const isCompressed = takesGzip(exchange);
  if (isCompressed) asCompressed(headers);
  response.writeHead(answer.code ?? 200, headers);
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const slices = inSlices(text, next, rest);
  const out = response as unknown as NodeJS.WritableStream;
  if (isCompressed) await pipeline(slices, createGzip({ level: gzipLevel }), out, { signal });
  else await pipeline(slices, out, { signal });
}

async function* inSlices(
  first: string,
  second: IteratorResult<string>,
  rest: Iterator<string>,
): AsyncGenerator<Buffer> {
  let text = first;
  let sinceTurn = 0;
  for (let next = second; ; next = rest.next()) {
    if (!next.done) text += next.value;
    if (text.length < sliceBytes && !next.done) continue;
    const bytes = Buffer.from(text);
    text = '';
    for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
    sinceTurn += bytes.length;
    if (sinceTurn >= turnBytes) {
      sinceTurn = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (next.done) return;
  }
}

/** Answers with a short text. */
export async function sendText(exchange: Exchange, text: string | Buffer, answer: Answer = {}): Promise<void> {
  const { request, response } = exchange;
  let body = typeof text === 'string' ? Buffer.from(text) : text;
  const headers = headersOf(answer);
  if (body.length > gzipBytesMin && takesGzip(exchange)) {
    body = await compress(body, { level: gzipLevel });
    asCompressed(headers);
  }
  if (isGone(exchange) || response.headersSent) return;
  headers['content-length'] = body.length;
  response.writeHead(answer.code ?? 200, headers);
  response.end(request.method === 'HEAD' ? undefined : body);
}

type Headers = Record<string, string | string[] | number>;

function headersOf({ headers, warnings = [] }: Answer): Headers {
  return {
    'content-type': 'text/plain; charset=utf-8',
    ...headers,
    ...(warnings.length > 0 && { warning: warningHeaders(warnings) }),
  };
}

const takesGzip = ({ request }: Exchange): boolean => /\bgzip\b/.test(`${request.headers['accept-encoding'] ?? ''}`);

function asCompressed(headers: Headers): void {
  headers['content-encoding'] = 'gzip';
  headers.vary = headers.vary ? `${headers.vary}, Accept-Encoding` : 'Accept-Encoding';
}

/** Answers with the Status of what went wrong. */
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

/** Writes a slice at a time as the client takes them. False when it has gone, or takes nothing for `stalledMs`. */
export async function writeSlices(exchange: Exchange, bytes: Buffer, stalledMs?: number): Promise<boolean> {
  const { response, signal } = exchange;
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    if (signal.aborted || isGone(exchange)) return false;
    const isFull = !response.write(bytes.subarray(at, at + sliceBytes));
    if (isFull && !(await drained(exchange, response, stalledMs))) return false;
  }
  return !signal.aborted;
}

function drained({ clock, signal }: Exchange, response: ServerResponse, stalledMs?: number): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isDrained: boolean) => {
      response.off('drain', onDrain);
      response.off('close', onGone);
      signal.removeEventListener('abort', onGone);
      cancelTimer?.();
      resolve(isDrained);
    };
    const onDrain = () => end(true);
    const onGone = () => end(false);
    const cancelTimer = stalledMs === undefined ? undefined : clock.after(stalledMs, onGone);
    response.once('drain', onDrain);
    response.once('close', onGone);
    signal.addEventListener('abort', onGone, { once: true });
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

/** Tells why, on a connection that was to be upgraded, and ends it. */
export function refuseUpgrade(error: unknown, socket: TLSSocket, { requestMs }: Limits): void {
  const failure = asApiError(error);
  const { code } = failure;
  const body = `${JSON.stringify(failure.toStatus())}\n`;
  socket.setTimeout(requestMs, () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\nContent-Type: application/json\r\nConnection: close\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
