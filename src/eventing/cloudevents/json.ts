import {
  type Attributes,
  badName,
  type CloudEvent,
  checkAttributes,
  invalidEvent,
  isAttributeName,
  shown,
} from './event.ts';
import { memberText } from './json-member.ts';

/** The event in a JSON document (CloudEvents JSON format 1.0.2, §3); throws EVENT_INVALID. */
export function decodeJson(body: Buffer): CloudEvent {
  const text = decodeUtf8(body);
  const members = parseObject(text);
  const attributes: Attributes = {};
  for (const [name, value] of Object.entries(members)) {
    // null stands for an attribute that is not set.
    if (name === 'data' || name === 'data_base64' || value === null) continue;
    if (!isAttributeName(name)) throw badName(name);
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw invalidEvent(`"${name}" is ${shown(value)}: attributes are strings, integers or booleans`);
    }
    attributes[name] = value;
  }
  checkAttributes(attributes);
  const data = decodeData(text, members, attributes);
  return data === undefined ? { attributes } : { attributes, data };
}

/** The event as a JSON document: data as a JSON value or as text where it is that, else as base64. */
export function encodeJson(event: CloudEvent): Buffer {
  const head = JSON.stringify(event.attributes);
  if (event.data === undefined) return Buffer.from(head);
  const member = encodeData(event.data, event.attributes);
  return Buffer.from(`${head.slice(0, -1)},${member}}`);
}

/** Whether a media type declares JSON: its subtype is `json` or ends with `+json` (JSON format, §3.1.1). */
export function isJsonType(contentType: string): boolean {
  return /^[^/]+\/(?:[^;\s]+\+)?json[ \t]*(?:;|$)/i.test(contentType);
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidEvent(`the body is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidEvent('the body is JSON but not an object');
  }
  return value as Record<string, unknown>;
}

/** The data's bytes. JSON keeps the text that came, so that no number loses digits; an implied type is set. */
function decodeData(text: string, members: Record<string, unknown>, attributes: Attributes): Buffer | undefined {
  const hasData = Object.hasOwn(members, 'data');
  const base64 = members.data_base64 ?? undefined;
  if (base64 !== undefined) {
    if (hasData) throw invalidEvent('"data" and "data_base64" are both there: only one may be');
    return decodeBase64('data_base64', base64);
  }
  if (!hasData) return undefined;
  if (attributes.specversion === '0.3' && attributes.datacontentencoding === 'base64') {
    delete attributes.datacontentencoding;
    return decodeBase64('data', members.data);
  }
  attributes.datacontenttype ??= 'application/json';
  if (isJsonType(String(attributes.datacontenttype))) return Buffer.from(memberText(text, 'data') ?? 'null');
  if (typeof members.data === 'string') return Buffer.from(members.data);
  throw invalidEvent(`"data" must be a string, as datacontenttype is ${shown(attributes.datacontenttype)}`);
}

function decodeBase64(member: string, value: unknown): Buffer {
  if (typeof value !== 'string' || !base64Text.test(value)) throw invalidEvent(`"${member}" is not base64`);
  return Buffer.from(value, 'base64');
}

const base64Text = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

function encodeData(data: Buffer, attributes: Attributes): string {
  const type = attributes.datacontenttype;
  if (type !== undefined) {
    const text = textOf(data);
    if (text !== undefined && isJsonType(String(type)) && isJsonText(text)) return `"data":${text}`;
    if (text !== undefined && isTextType(String(type))) return `"data":${JSON.stringify(text)}`;
  }
  if (attributes.specversion === '0.3') {
    return `"datacontentencoding":"base64","data":"${data.toString('base64')}"`;
  }
  return `"data_base64":"${data.toString('base64')}"`;
}

function isTextType(contentType: string): boolean {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(contentType)?.[1]?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'us-ascii') return false;
  return /^(?:text\/|[^/;]+\/(?:[^;\s]+\+)?xml\s*(?:;|$))/i.test(contentType);
}

/** Whether `text` is a JSON document. */
export function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // The question is only whether it parses: data that its type calls JSON wrongly travels as bytes.
    return false;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(data: Buffer): string | undefined {
  try {
    return utf8.decode(data);
  } catch {
    // Bytes that are not UTF-8 are no text: the caller sends base64.
    return undefined;
  }
}

function decodeUtf8(body: Buffer): string {
  const text = textOf(body);
  if (text === undefined) throw invalidEvent('the body is not UTF-8');
  return text;
}
