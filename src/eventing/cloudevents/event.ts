import type { KittiwakeError } from '../../lib/errors.ts';
import { int32Max, int32Min } from '../../lib/int32.ts';
import { eventErrors } from '../errors.ts';

/** Integers are within int32; Binary, URI and Timestamp are strings in their canonical form. */
export type AttributeValue = string | number | boolean;

/**
 * One event (CloudEvents 1.0.2, and 0.3, which is never upgraded). `attributes` holds every context attribute,
 * `specversion` and extensions included; the data stays the bytes that came, unparsed.
 */
export interface CloudEvent {
  attributes: Attributes;
  data?: Buffer;
}

export type Attributes = Record<string, AttributeValue>;

/** The attribute as text, or undefined when the event lacks it. */
export function attributeText(event: CloudEvent, name: string): string | undefined {
  return Object.hasOwn(event.attributes, name) ? String(event.attributes[name]) : undefined;
}

/** `source` and `id`, which together identify an event: for logs, where long ones are cut. */
export function identityOf(event: CloudEvent): { source: string; id: string } {
  return { source: cut(String(event.attributes.source)), id: cut(String(event.attributes.id)) };
}

/** `value` as JSON, for messages: what a producer sent may be large, what it is told of it is not. */
export const shown = (value: unknown): string => (typeof value === 'object' ? 'an object' : cut(JSON.stringify(value)));

const cut = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** An error 400 that says why something is not an event. */
export const invalidEvent = (why: string): KittiwakeError => eventErrors.EVENT_INVALID({ why });

/** Whether `name` may be an attribute's name (CloudEvents 1.0.2, "Attribute Naming Convention"). */
export const isAttributeName = (name: string): boolean => /^[a-z0-9]+$/.test(name) && name !== 'data';

/** Throws EVENT_INVALID unless the attributes are those of an event: the required ones there, each of its type. */
export function checkAttributes(attributes: Attributes): void {
  checkVersion(attributes);
  for (const name of ['id', 'source', 'type']) {
    const value = attributes[name];
    if (value === undefined) throw invalidEvent(`the event lacks "${name}", which every event must have`);
    if (value === '') throw invalidEvent(`"${name}" is empty, it must name the event's ${name}`);
  }
  for (const name of Object.keys(attributes)) checkAttribute(name, attributes[name]);
}

function checkVersion({ specversion }: Attributes): void {
  if (specversion === undefined) throw invalidEvent('the event lacks "specversion", which should be "1.0"');
  if (specversion !== '1.0' && specversion !== '0.3') {
    throw invalidEvent(`specversion is ${shown(specversion)}: 1.0 and 0.3 are supported`);
  }
}

// C0 and C1 control characters, and surrogates without a partner: no String attribute may hold them.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is looked for.
const forbiddenCharacter = /[\u0000-\u001f\u007f-\u009f]|\p{Surrogate}/u;
const uriReference = /^(?:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$/;
const timestamp = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:(\d\d)(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** The whole grammar, parameters included (RFC 9110 §8.3.1, of whose strings RFC 2045 allows what is ASCII). */
const mediaType = (() => {
  const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
  const parameter = `${token}=(?:${token}|"(?:[ !#-[\\]-~]|\\\\[ -~])*")`;
  // A space has one place where it may stand, so that no text is tried in more than one way.
  return new RegExp(`^${token}/${token}(?: *;(?: *${parameter})?)*$`);
})();

/** What the values of the attributes that the specification names must look like; the others are free. */
const shapes: Record<string, { isOne: (text: string) => boolean; remedy: string }> = {
  source: { isOne: (text) => uriReference.test(text), remedy: 'must be a URI reference (RFC 3986)' },
  schemaurl: { isOne: (text) => uriReference.test(text), remedy: 'must be a URI reference (RFC 3986)' },
  dataschema: {
    isOne: (text) => /^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) && uriReference.test(text),
    remedy: 'must be an absolute URI (RFC 3986)',
  },
  time: { isOne: isTimestamp, remedy: 'must be a timestamp as 2026-04-05T17:31:00Z (RFC 3339)' },
  subject: { isOne: (text) => text !== '', remedy: 'must not be empty: leave it out' },
  datacontenttype: {
    isOne: (text) => mediaType.test(text),
    remedy: 'must be a media type as text/plain; charset=utf-8',
  },
};

function checkAttribute(name: string, value: AttributeValue | undefined): void {
  if (!isAttributeName(name)) throw badName(name);
  if (typeof value !== 'string') {
    if (typeof value === 'number' && !isInt32(value)) {
      throw invalidEvent(`"${name}" is ${value}: numbers must be whole, from -2147483648 to 2147483647`);
    }
    if (stringAttributes.has(name)) throw invalidEvent(`"${name}" is ${value}, it must be a string`);
    return;
  }
  if (forbiddenCharacter.test(value)) {
    throw invalidEvent(`"${name}" is ${shown(value)}: control characters are not allowed`);
  }
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (shape && !shape.isOne(value)) throw invalidEvent(`"${name}" is ${shown(value)}: it ${shape.remedy}`);
}

const stringAttributes = new Set(['id', 'source', 'type', 'specversion', ...Object.keys(shapes)]);

export const badName = (name: string): KittiwakeError =>
  invalidEvent(`${shown(name)} is not an attribute name: names hold only a-z and 0-9`);

const isInt32 = (value: number): boolean => Number.isInteger(value) && value >= int32Min && value <= int32Max;

function isTimestamp(text: string): boolean {
  const match = timestamp.exec(text);
  if (!match) return false;
  // RFC 3339 allows the leap second 60, which Date does not know.
  const known = match[1] === '60' ? `${text.slice(0, 17)}59${text.slice(19)}` : text;
  const dayAsWritten = Number(known.slice(8, 10));
  const day = new Date(`${known.slice(0, 10)}T00:00:00Z`).getUTCDate();
  return !Number.isNaN(Date.parse(known.toUpperCase())) && day === dayAsWritten;
}
