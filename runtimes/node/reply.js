import { isEvent, writeEvent } from './cloudevent.js';

/** @typedef {{ status: number, headers: Record<string, string | string[]>, body: Buffer }} Reply */

const empty = Buffer.alloc(0);

/**
 * The HTTP reply that a function's return value means: nothing (undefined, null, '') is 204; a string is text; bytes
 * are bytes; an event goes out in the binary mode; an object with `statusCode`, `headers` or `body` says those;
 * anything else is JSON.
 * @param {any} value
 * @returns {Reply}
 */
export function replyOf(value) {
  if (value === undefined || value === null || value === '') return { status: 204, headers: {}, body: empty };
  if (isEvent(value)) return { status: 200, ...writeEvent(value) };
  if (isStream(value) || !isStructured(value)) return { status: 200, ...content(value) };
  const given = lowerCase(value.headers ?? {});
  const status = value.statusCode ?? (value.body === undefined ? 204 : 200);
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new Error(
      `the function returned the statusCode ${JSON.stringify(value.statusCode)}: must be from 200 to 599`,
    );
  }
  if (value.body === undefined || value.body === null) return { status, headers: given, body: empty };
  if (isEvent(value.body)) {
    const event = writeEvent(value.body);
    return { status, headers: { ...event.headers, ...given }, body: event.body };
  }
  const { headers, body } = content(value.body);
  return { status, headers: { ...headers, ...given }, body };
}

/** Streams of Node and of the web, and `Response`, would become JSON of their insides. @param {any} value */
function isStream(value) {
  if (typeof value !== 'object' || value === null) return false;
  return (
    typeof value.pipe === 'function' ||
    typeof value[Symbol.asyncIterator] === 'function' ||
    (typeof Response === 'function' && value instanceof Response)
  );
}

/** @param {unknown} value */
function isStructured(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) return false;
  const { statusCode, headers, body } = /** @type {Record<string, unknown>} */ (value);
  return statusCode !== undefined || body !== undefined || (typeof headers === 'object' && headers !== null);
}

/** @param {unknown} value @returns {{ headers: Record<string, string>, body: Buffer }} */
function content(value) {
  if (typeof value === 'string')
    return { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: Buffer.from(value) };
  if (value instanceof Uint8Array)
    return { headers: { 'content-type': 'application/octet-stream' }, body: Buffer.from(value) };
  if (isStream(value))
    throw new Error('the function returned a stream, which is not sent: return its bytes or its text');
  const json = JSON.stringify(value);
  if (json === undefined) throw new Error(`the function returned a ${typeof value}, which cannot be sent`);
  return { headers: { 'content-type': 'application/json; charset=utf-8' }, body: Buffer.from(json) };
}

/**
 * An object, or a `Headers` or `Map` as they are.
 * @param {any} headers @returns {Record<string, string | string[]>}
 */
function lowerCase(headers) {
  if (typeof headers !== 'object' || Array.isArray(headers))
    throw new Error(`the function returned headers that are ${JSON.stringify(headers)}: must be an object`);
  const entries = typeof headers.entries === 'function' ? headers.entries() : Object.entries(headers);
  /** @type {Record<string, string | string[]>} */
  const found = {};
  for (const [name, value] of entries) {
    if (value === undefined || value === null) continue;
    found[name.toLowerCase()] = Array.isArray(value) ? value.map(String) : String(value);
  }
  return found;
}
