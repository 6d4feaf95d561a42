/**
 * Reads Kubernetes' protobuf bodies, which clients of built-in kinds send (client-go from 0.32 on). Only requests come
 * so: answers are JSON, which all of these clients read.
 */
import { ApiError, badRequest } from '../../../../api/status.ts';
import { JsonError, parseJson } from './json.ts';
import { accessMessages } from './protobuf-access.ts';
import { definitionMessages } from './protobuf-definitions.ts';
import { protobufMessages } from './protobuf-messages.ts';
import { storageMessages } from './protobuf-storage.ts';

export const protobufType = 'application/vnd.kubernetes.protobuf';

const magic = Buffer.from('k8s\0');

/**
 * The object in JSON's form: `k8s\0`, then runtime.Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw }. Throws
 * ApiError 400 for a damaged body, 415 for a kind or field that has no description here: nothing is dropped silently.
 */
export function decodeProtobuf(body: Buffer): unknown {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest('the protobuf body does not start with "k8s\\0"');
  try {
    const envelope = readFields(body.subarray(4));
    const type = readFields(bytesOf(envelope, 1));
    const apiVersion = bytesOf(type, 1).toString();
    const kind = bytesOf(type, 2).toString();
    const message = messages().get(kind);
    if (!message) throw unknown(`kind ${kind}`);
    return { apiVersion, kind, ...decodeMessage(bytesOf(envelope, 2), message, kind) };
  } catch (error) {
    if (error instanceof RangeError || error instanceof JsonError)
      throw badRequest(`the protobuf body is damaged: ${error.message}`);
    throw error;
  }
}

const unknown = (what: string) =>
  new ApiError(415, 'UnsupportedMediaType', `${what} is not known in protobuf: send application/json`);

interface Field {
  name: string;
  type: string;
  isInline: boolean;
  isRepeated: boolean;
  isMap: boolean;
  isKeptWhenZero: boolean;
}

type Message = ReadonlyMap<number, Field>;

let parsed: ReadonlyMap<string, Message> | undefined;

function messages(): ReadonlyMap<string, Message> {
  parsed ??= new Map(
    [
      ...`${protobufMessages}${definitionMessages}${accessMessages}${storageMessages}`.matchAll(
        /^(\w+):\n((?: {2}.+\n)*)/gm,
      ),
    ].map(([, name = '', fields = '']) => [
      name,
      new Map(fields.trim() === '' ? [] : fields.split(',').map((text) => parseField(text.trim()))),
    ]),
  );
  return parsed;
}

function parseField(text: string): [number, Field] {
  const match = /^(\d+) (\S+) (map:)?(\w+)(\[\])?(\?)?$/.exec(text);
  if (!match) throw new Error(`the description of the protobuf field "${text}" cannot be read`);
  const [, number, name = '', map, type = '', list, kept] = match;
  return [
    Number(number),
    {
      name,
      type,
      isInline: name === '+',
      isRepeated: list !== undefined,
      isMap: map !== undefined,
      isKeptWhenZero: kept !== undefined,
    },
  ];
}

type Json = Record<string, unknown>;

/** Each level adds a name to the path: so long a one is that of no object of the API, but of an attack on the stack. */
const pathCharactersMax = 4000;

function decodeMessage(body: Buffer, message: Message, path: string): Json {
  if (path.length > pathCharactersMax) throw new RangeError(`nested too deep at ${path.slice(0, 100)}…`);
  const object: Json = {};
  for (const { number, value } of readFields(body)) {
    const field = message.get(number);
    if (!field) throw unknown(`field ${number} of ${path}`);
    const { isInline, isKeptWhenZero, isMap, isRepeated, name, type } = field;
    const where = isInline ? path : `${path}.${name}`;
    if (isMap) {
      const entry = readFields(asBytes(value));
      object[name] ??= {};
      const key = bytesOf(entry, 1).toString();
      const item = entry.find((part) => part.number === 2)?.value ?? emptyOf(type);
      Object.defineProperty(object[name], key, { ...dataProperty, value: decodeValue(item, type, where) });
    } else if (isRepeated) {
      object[name] ??= [];
      const list = object[name] as unknown[];
      for (const item of unpacked(value, type)) list.push(decodeValue(item, type, where));
    } else {
      const decoded = decodeValue(value, type, where);
      if (isInline) Object.assign(object, decoded);
      else if (isKeptWhenZero || !isZero(decoded)) object[name] = decoded;
    }
  }
  return object;
}

const dataProperty = { enumerable: true, configurable: true, writable: true };

/** Numbers may be packed into one field. */
function unpacked(value: bigint | Buffer, type: string): (bigint | Buffer)[] {
  if (type !== 'int' || typeof value === 'bigint') return [value];
  const numbers: bigint[] = [];
  for (let at = 0; at < value.length; ) {
    const [number, next] = readVarint(value, at);
    numbers.push(number);
    at = next;
  }
  return numbers;
}

/** A field that the sender did not set: its type has no notion of absence, so its zero is on the wire. */
const isZero = (value: unknown): boolean =>
  value === '' || value === 0 || value === false || value === null || isEmptyObject(value);
const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;

const emptyOf = (type: string): bigint | Buffer => (type === 'int' || type === 'bool' ? 0n : Buffer.alloc(0));

function decodeValue(value: bigint | Buffer, type: string, path: string): unknown {
  if (type === 'int') return numberFrom(BigInt.asIntN(64, asNumber(value)), path);
  if (type === 'bool') return asNumber(value) !== 0n;
  if (type === 'double') return doubleOf(asBytes(value), path);
  const bytes = asBytes(value);
  const special = specials[type];
  if (special) return special(bytes, path);
  const message = messages().get(type);
  if (!message) throw unknown(`the type ${type} of ${path}`);
  return decodeMessage(bytes, message, path);
}

const specials: Record<string, (bytes: Buffer, path: string) => unknown> = {
  string: (bytes) => bytes.toString(),
  bytes: (bytes) => bytes.toString('base64'),
  Time: (bytes) => timeText(bytes, 0),
  MicroTime: (bytes) => timeText(bytes, 6),
  Quantity: (bytes) => bytesOf(readFields(bytes), 1).toString(),
  IntOrString: (bytes) => {
    const fields = readFields(bytes);
    return numberOf(fields, 1) === 0 ? numberOf(fields, 2) : bytesOf(fields, 3).toString();
  },
  Raw: (bytes) => {
    const raw = bytesOf(readFields(bytes), 1).toString();
    return raw === '' ? {} : parseJson(raw).value;
  },
  Strings: (bytes) => readFields(bytes).map(({ value }) => asBytes(value).toString()),
  Json: (bytes) => parseJson(bytesOf(readFields(bytes), 1).toString() || 'null').value,
  SchemaOrBool: (bytes, path) => {
    const fields = readFields(bytes);
    return has(fields, 2) ? schemaOf(bytesOf(fields, 2), path) : numberOf(fields, 1) !== 0;
  },
  SchemaOrArray: (bytes, path) => {
    const fields = readFields(bytes);
    if (has(fields, 1)) return schemaOf(bytesOf(fields, 1), path);
    return fields.filter(({ number }) => number === 2).map(({ value }) => schemaOf(asBytes(value), path));
  },
  SchemaOrStrings: (bytes, path) => {
    const fields = readFields(bytes);
    if (has(fields, 1)) return schemaOf(bytesOf(fields, 1), path);
    return fields.filter(({ number }) => number === 2).map(({ value }) => asBytes(value).toString());
  },
};

const has = (fields: readonly WireField[], wanted: number): boolean => fields.some(({ number }) => number === wanted);
const schemaOf = (bytes: Buffer, path: string): unknown => decodeValue(bytes, 'JSONSchemaProps', path);

/** { 1: seconds, 2: nanoseconds }; empty is no time at all. */
function timeText(bytes: Buffer, digits: 0 | 6): string | null {
  const fields = readFields(bytes);
  if (fields.length === 0) return null;
  const seconds = new Date(numberOf(fields, 1) * 1000).toISOString().slice(0, 19);
  const micros = Math.floor(numberOf(fields, 2) / 1000);
  return digits === 0 ? `${seconds}Z` : `${seconds}.${`${micros}`.padStart(6, '0')}Z`;
}

interface WireField {
  number: number;
  /** A varint, or what has a length; of a double its eight bytes. */
  value: bigint | Buffer;
}

/** The fields of a message on the wire. Throws RangeError when they are damaged. */
function readFields(body: Buffer): WireField[] {
  const fields: WireField[] = [];
  for (let at = 0; at < body.length; ) {
    const [tag, afterTag] = readVarint(body, at);
    const number = Number(tag >> 3n);
    const wireType = Number(tag & 7n);
    if (wireType === 0) {
      const [value, next] = readVarint(body, afterTag);
      fields.push({ number, value });
      at = next;
    } else if (wireType === 2) {
      const [length, start] = readVarint(body, afterTag);
      const end = start + Number(length);
      if (end > body.length) throw new RangeError(`field ${number} is longer than what holds it`);
      fields.push({ number, value: body.subarray(start, end) });
      at = end;
    } else if (wireType === 1) {
      if (afterTag + 8 > body.length) throw new RangeError(`field ${number} is cut off`);
      fields.push({ number, value: body.subarray(afterTag, afterTag + 8) });
      at = afterTag + 8;
    } else throw new RangeError(`field ${number} has wire type ${wireType}`);
  }
  return fields;
}

function readVarint(body: Buffer, start: number): [value: bigint, next: number] {
  let value = 0n;
  for (let at = start; at < start + 10; at++) {
    const byte = body[at];
    if (byte === undefined) throw new RangeError('a number is cut off');
    value |= BigInt(byte & 0x7f) << BigInt(7 * (at - start));
    if (byte < 0x80) return [value, at + 1];
  }
  throw new RangeError('a number is too long');
}

function doubleOf(bytes: Buffer, path: string): number {
  const number = bytes.length === 8 ? bytes.readDoubleLE() : Number.NaN;
  if (!Number.isFinite(number)) throw new RangeError(`${path} is no number that JSON has`);
  return number;
}

/** What a double cannot hold would be damaged silently. */
function numberFrom(value: bigint, path: string): number {
  const number = Number(value);
  if (BigInt(number) !== value)
    throw new RangeError(`${path} is ${value}: integers must lie between -(2^53-1) and 2^53-1`);
  return number;
}

function asBytes(value: bigint | Buffer): Buffer {
  if (typeof value === 'bigint') throw new RangeError('a number stands where text or a message should');
  return value;
}

function asNumber(value: bigint | Buffer): bigint {
  if (typeof value !== 'bigint') throw new RangeError('text or a message stands where a number should');
  return value;
}

const bytesOf = (fields: readonly WireField[], number: number): Buffer =>
  asBytes(fields.findLast((field) => field.number === number)?.value ?? Buffer.alloc(0));

const numberOf = (fields: readonly WireField[], number: number): number =>
  Number(BigInt.asIntN(64, asNumber(fields.findLast((field) => field.number === number)?.value ?? 0n)));
