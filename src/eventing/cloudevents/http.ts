import { eventErrors } from '../errors.ts';
import { type Attributes, badName, type CloudEvent, checkAttributes, invalidEvent, isAttributeName } from './event.ts';
import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';
import { decodeJson, encodeJson } from './json.ts';

/** An event as bytes to send: a body, and headers as a flat list of names and values. */
export interface HttpEvent {
  headers: string[];
  body: Buffer | undefined;
}

export type ContentMode = 'binary' | 'structured' | 'batched' | 'unsupported';

/** How a content type says that its message carries events (CloudEvents HTTP binding 1.0.2, §3). */
export function contentModeOf(contentType: string | undefined): ContentMode {
  if (contentType === undefined || !/^\s*application\/cloudevents/i.test(contentType)) return 'binary';
  if (/^\s*application\/cloudevents-batch\b/i.test(contentType)) return 'batched';
  const isJson = /^\s*application\/cloudevents\+json\s*(?:;|$)/i.test(contentType);
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase();
  return isJson && (charset === undefined || charset === 'utf-8' || charset === 'us-ascii')
    ? 'structured'
    : 'unsupported';
}

/** Whether a message claims to carry an event; `decodeHttp` says whether it is a valid one. */
export function claimsEvent(headers: { 'content-type'?: string | undefined; 'ce-specversion'?: unknown }): boolean {
  return headers['ce-specversion'] !== undefined || contentModeOf(headers['content-type']) !== 'binary';
}

/**
 * The event in an HTTP message, from its raw headers (names and values in turn, values as latin1) and its whole body.
 * Throws EVENT_INVALID, or EVENT_MODE_UNSUPPORTED for batches and formats other than JSON.
 */
export function decodeHttp(rawHeaders: readonly string[], body: Buffer): CloudEvent {
  const contentType = headerOf(rawHeaders, 'content-type');
  const mode = contentModeOf(contentType);
  if (mode === 'binary') return decodeBinary(rawHeaders, contentType, body);
  if (mode === 'structured') return decodeJson(body);
  throw eventErrors.EVENT_MODE_UNSUPPORTED({ contentType: contentType ?? '' });
}

/**
 * The event in the mode that is asked for; in structured mode also where its attributes cannot be headers: because
 * there are more of them than receivers take (Node 16 KiB of a head in all, nginx 8 KiB of a line, Apache 100 fields),
 * or because one holds what no header may. Every receiver of CloudEvents over HTTP knows both modes.
 */
export function encode(event: CloudEvent, format: 'binary' | 'json'): HttpEvent {
  if (format === 'binary') {
    const binary = encodeBinary(event);
    if (canBeHeaders(binary.headers)) return binary;
  }
  return encodeStructured(event);
}

const headerCountMax = 64;
const headerBytesMax = 8192;

function canBeHeaders(headers: readonly string[]): boolean {
  if (headers.length > 2 * headerCountMax) return false;
  let bytes = 0;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    const value = headers[i + 1] ?? '';
    bytes += name.length + value.length + 4;
    if (bytes > headerBytesMax || !headerName.test(name) || !headerValue.test(value)) return false;
  }
  return true;
}

const headerName = /^[a-z0-9-]+$/;
const headerValue = /^[ -~]*$/;

/** The event in binary mode: attributes as `ce-` headers, the data as the body. */
export function encodeBinary(event: CloudEvent): HttpEvent {
  const headers: string[] = [];
  for (const name in event.attributes) {
    const value = String(event.attributes[name]);
    if (name === 'datacontenttype') headers.push('content-type', value);
    else headers.push(`ce-${name}`, encodeHeaderValue(value));
  }
  return { headers, body: event.data };
}

/** The event in structured mode, in the JSON format. */
export function encodeStructured(event: CloudEvent): HttpEvent {
  return { headers: ['content-type', 'application/cloudevents+json; charset=utf-8'], body: encodeJson(event) };
}

function decodeBinary(rawHeaders: readonly string[], contentType: string | undefined, body: Buffer): CloudEvent {
  const attributes: Attributes = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const header = rawHeaders[i] ?? '';
    if (header.charCodeAt(2) !== 0x2d || !/^ce-/i.test(header)) continue;
    const name = header.slice(3).toLowerCase();
    if (!isAttributeName(name)) throw badName(name);
    if (name === 'datacontenttype') {
      throw invalidEvent('"ce-datacontenttype" is not allowed: in binary mode, Content-Type says it');
    }
    if (Object.hasOwn(attributes, name)) throw invalidEvent(`the header ce-${name} is there twice`);
    attributes[name] = decodeHeaderValue(rawHeaders[i + 1] ?? '', name);
  }
  if (contentType !== undefined && contentType !== '') attributes.datacontenttype = contentType;
  checkAttributes(attributes);
  return body.length === 0 ? { attributes } : { attributes, data: body };
}

/** The first header of that (lower-case) name. */
export function headerOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const header = rawHeaders[i];
    if (header?.length === name.length && header.toLowerCase() === name) return rawHeaders[i + 1];
  }
  return undefined;
}
