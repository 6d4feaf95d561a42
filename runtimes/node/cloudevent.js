/**
 * CloudEvents 1.0.2 and its HTTP binding: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/
 * @typedef {{ id: string, source: string, type: string, specversion: string, data?: unknown,
 *   datacontenttype?: string, dataschema?: string, subject?: string, time?: string,
 *   [extension: string]: unknown }} Event
 */

const attributeName = /^[a-z0-9]{1,}$/;
const required = ['id', 'source', 'type'];

/** The grammar of media types (RFC 9110 §8.3.1) in ASCII: what else is in Content-Type cannot be sent. */
const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const parameter = `${token}=(?:${token}|"(?:[ !#-[\\]-~]|\\\\[ -~])*")`;
const mediaTypePattern = new RegExp(`^${token}/${token}(?: *;(?: *${parameter})?)*$`);
/** What receivers take of headers, with room for those that are not the event's. */
const headerBytesMax = 8192;
const headerCountMax = 64;

/** A request that claims to be an event and is not a good one: 400. */
export class BadEvent extends Error {
  statusCode = 400;
}

/**
 * The event in a request; undefined when it holds none.
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {Buffer} body
 * @returns {Event | undefined}
 */
export function readEvent(headers, body) {
  const contentType = mediaType(headers['content-type']);
  if (contentType === 'application/cloudevents+json') return readStructured(body);
  if (contentType === 'application/cloudevents-batch+json') throw new BadEvent('a batch of events is not accepted');
  return headers['ce-specversion'] === undefined ? undefined : readBinary(headers, body);
}

/**
 * The headers and body of an event in the binary mode; in the structured mode when its attributes are too many, or too
 * large, for headers.
 * @param {Event} event
 * @returns {{ headers: Record<string, string>, body: Buffer }}
 */
export function writeEvent(event) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (const [name, value] of Object.entries(event)) {
    if (name === 'data' || name === 'data_base64' || name === 'datacontenttype' || value === undefined) continue;
    if (typeof value === 'function' || value === null) continue;
    if (!attributeName.test(name))
      throw new Error(`the event's attribute ${JSON.stringify(name)} is not lower-case letters and digits`);
    headers[`ce-${name}`] = encodeHeader(attributeText(value));
  }
  headers['ce-specversion'] ??= '1.0';
  headers['ce-id'] ??= globalThis.crypto.randomUUID();
  headers['ce-time'] ??= new Date().toISOString();
  for (const name of required)
    if (!headers[`ce-${name}`]) throw new Error(`the event that the function returned has no ${name}`);
  const { body, contentType } = writeData(event);
  if (contentType !== undefined) {
    if (typeof contentType !== 'string' || !mediaTypePattern.test(contentType))
      throw new Error(
        `the event's datacontenttype is ${JSON.stringify(contentType)?.slice(0, 200)}: must be a media type, ` +
          'for example text/plain; charset=utf-8',
      );
    headers['content-type'] = contentType;
  }
  return fits(headers) ? { headers, body } : writeStructured(event, headers, body);
}

/** @param {Record<string, string>} headers */
function fits(headers) {
  let bytes = 0;
  for (const name in headers) bytes += name.length + (headers[name] ?? '').length + 4;
  return bytes <= headerBytesMax && Object.keys(headers).length <= headerCountMax;
}

/** @param {Event} event @param {Record<string, string>} headers @param {Buffer} data */
function writeStructured(event, headers, data) {
  /** @type {Record<string, unknown>} */
  const members = {};
  for (const name in headers) {
    const attribute = name.slice('ce-'.length);
    if (name === 'content-type') members.datacontenttype = headers[name];
    else members[attribute] = attributeText(event[attribute] ?? decodeHeader(headers[name] ?? '')).toWellFormed();
  }
  if (data.length > 0) members.data_base64 = data.toString('base64');
  const body = Buffer.from(JSON.stringify(members));
  return { headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' }, body };
}

/** Whether a function's return value is an event rather than data or a reply with a status. @param {unknown} value */
export function isEvent(value) {
  if (typeof value !== 'object' || value === null) return false;
  const { type, source, specversion, id } = /** @type {Record<string, unknown>} */ (value);
  return (
    typeof type === 'string' &&
    typeof source === 'string' &&
    (typeof specversion === 'string' || typeof id === 'string')
  );
}

/** @param {Event} event @returns {{ body: Buffer, contentType: string | undefined }} */
function writeData({ data, data_base64: base64, datacontenttype }) {
  if (data === undefined || data === null) {
    if (typeof base64 === 'string') return { body: Buffer.from(base64, 'base64'), contentType: datacontenttype };
    return { body: Buffer.alloc(0), contentType: datacontenttype };
  }
  if (data instanceof Uint8Array)
    return { body: Buffer.from(data), contentType: datacontenttype ?? 'application/octet-stream' };
  if (datacontenttype !== undefined && typeof datacontenttype !== 'string')
    throw new Error(`the event's datacontenttype is ${JSON.stringify(datacontenttype)}: must be a media type`);
  const isJson = datacontenttype === undefined ? typeof data !== 'string' : isJsonType(mediaType(datacontenttype));
  const contentType = datacontenttype ?? (isJson ? 'application/json' : 'text/plain; charset=utf-8');
  // A string under a JSON type is JSON text already, if it parses: what an SDK made may be passed on as it is.
  const isText = typeof data === 'string' && (!isJson || parses(data));
  return { body: Buffer.from(isText ? data : JSON.stringify(data), 'utf8'), contentType };
}

/** @param {import('node:http').IncomingHttpHeaders} headers @param {Buffer} body @returns {Event} */
function readBinary(headers, body) {
  /** @type {Record<string, unknown>} */
  const event = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-') && typeof value === 'string') event[name.slice(3)] = decodeHeader(value);
  }
  const contentType = headers['content-type'];
  if (contentType !== undefined) event.datacontenttype = contentType;
  if (body.length > 0) event.data = parseData(body, contentType);
  return checked(event);
}

/** @param {Buffer} body @returns {Event} */
function readStructured(body) {
  let event;
  try {
    event = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new BadEvent(`the event is not JSON: ${/** @type {Error} */ (error).message}`);
  }
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    throw new BadEvent('the event is not a JSON object');
  if (typeof event.data_base64 === 'string') {
    event.data = Buffer.from(event.data_base64, 'base64');
    delete event.data_base64;
  }
  return checked(event);
}

/** @param {Record<string, unknown>} event @returns {Event} */
function checked(event) {
  if (event.specversion !== '1.0' && event.specversion !== '0.3') {
    throw new BadEvent(`specversion is ${JSON.stringify(event.specversion)}: must be 1.0`);
  }
  for (const name of required) {
    if (typeof event[name] !== 'string' || event[name] === '') throw new BadEvent(`the event has no ${name}`);
  }
  return /** @type {Event} */ (event);
}

/**
 * JSON is parsed, text decoded, anything else left as bytes.
 * @param {Buffer} body
 * @param {string | undefined} contentType
 */
export function parseData(body, contentType) {
  const type = mediaType(contentType);
  if (isJsonType(type)) {
    try {
      return JSON.parse(body.toString('utf8'));
    } catch (error) {
      throw new BadEvent(`the body is not JSON, as content-type says: ${/** @type {Error} */ (error).message}`);
    }
  }
  return type.startsWith('text/') || type === '' ? body.toString('utf8') : body;
}

/** @param {string | undefined} contentType */
export function mediaType(contentType) {
  return (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** @param {string} type */
function isJsonType(type) {
  return type === 'application/json' || type === 'text/json' || type.endsWith('+json');
}

/** @param {string} text */
function parses(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // A plain string: it becomes a JSON string.
  }
}

/** @param {unknown} value */
function attributeText(value) {
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return String(value);
}

/**
 * HTTP binding §3.1.3.2: printable ASCII but space, double quote and percent stand for themselves.
 * @param {string} text
 */
function encodeHeader(text) {
  return text
    .toWellFormed()
    .replace(/[^\x21\x23\x24\x26-\x7e]/gu, (character) =>
      [...Buffer.from(character, 'utf8')]
        .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
        .join(''),
    );
}

/**
 * The inverse; a percent sign that begins no code stands for itself. Node gives the header's bytes as latin1.
 * @param {string} text
 */
function decodeHeader(text) {
  const unquoted = /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text;
  if (!unquoted.includes('%')) return unquoted;
  const bytes = unquoted.replace(/%([0-9a-f]{2})/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
