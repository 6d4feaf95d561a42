import { isIPv4, isIPv6 } from 'node:net';
import { classes, flags, headerBytes, type Rcode, rcodes, types, udpBytesMax, wantsDnssec } from './constants.ts';
import { keyOf, type Name } from './name.ts';
import type { Query } from './query.ts';

export type ResourceRecord = { name: Name; ttl: number } & (
  | { type: 'A' | 'AAAA'; address: string }
  | { type: 'CNAME' | 'NS' | 'PTR'; target: Name }
  | { type: 'SRV'; priority: number; weight: number; port: number; target: Name }
  | { type: 'SOA'; primary: Name; mailbox: Name; serial: number; timers: readonly [number, number, number, number] }
  | { type: 'TXT'; text: string }
  /** As somebody else wrote it. */
  | { type: 'raw'; number: number; data: Buffer }
);

export interface Reply {
  rcode: Rcode;
  isAuthoritative: boolean;
  answers: readonly ResourceRecord[];
  authorities?: readonly ResourceRecord[];
  /** Left out where there is no room. */
  additional?: readonly ResourceRecord[];
}

const optionsBytes = 11;
/** A pointer has 14 bits. */
const pointerMax = 0x3fff;

/** The reply to `query` in at most `bytesMax`; what of answers does not fit is cut off, and that is said (TC). */
export function encodeReply(query: Query, reply: Reply, bytesMax: number): Buffer {
  const writer = new Writer(Buffer.alloc(bytesMax - (query.edns ? optionsBytes : 0)));
  writer.bytes(query.questionBytes, headerBytes);
  writer.remember(query.question.name, headerBytes);
  const { answers, authorities = [], additional = [] } = reply;
  let isTruncated = false;
  const write = (records: readonly ResourceRecord[]): number => {
    let written = 0;
    for (const record of records) {
      if (isTruncated || !writer.record(record)) {
        isTruncated = true;
        return written;
      }
      written++;
    }
    return written;
  };
  const counts = [1, write(answers), write(authorities)];
  const isCut = isTruncated;
  counts.push(write(additional));
  const head = headOf(query, reply.rcode, (reply.isAuthoritative ? flags.isAuthoritative : 0) | cut(isCut));
  return assemble(head, counts, writer.body(), query, reply.rcode);
}

/** A reply that says no more than why there is none. */
export const encodeFailure = (query: Query, rcode: Rcode): Buffer =>
  assemble(headOf(query, rcode, 0), [1, 0, 0, 0], query.questionBytes, query, rcode);

/** The same where not even the question could be read. */
export function encodeBareFailure(id: number, opcode: number, rcode: Rcode): Buffer {
  const head = Buffer.alloc(headerBytes);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(flags.isReply | opcode | rcode, 2);
  return head;
}

/** That there is more than fits: the client asks again over TCP. */
export const encodeTruncated = (query: Query): Buffer =>
  assemble(headOf(query, rcodes.NOERROR, flags.isTruncated), [1, 0, 0, 0], query.questionBytes, query, rcodes.NOERROR);

const cut = (isCut: boolean) => (isCut ? flags.isTruncated : 0);

function headOf(query: Query, rcode: Rcode, more: number): Buffer {
  const head = Buffer.alloc(headerBytes);
  head.writeUInt16BE(query.id, 0);
  const asked = (query.wantsRecursion ? flags.wantsRecursion : 0) | (query.isCheckingDisabled ? 0x10 : 0);
  head.writeUInt16BE(flags.isReply | flags.hasRecursion | asked | more | (rcode & flags.rcode), 2);
  return head;
}

function assemble(head: Buffer, counts: readonly number[], body: Buffer, query: Query, rcode: Rcode): Buffer {
  const [questions = 1, answers = 0, authorities = 0, additional = 0] = counts;
  head.writeUInt16BE(questions, 4);
  head.writeUInt16BE(answers, 6);
  head.writeUInt16BE(authorities, 8);
  head.writeUInt16BE(additional + (query.edns ? 1 : 0), 10);
  return Buffer.concat(query.edns ? [head, body, optionsOf(query.edns, rcode)] : [head, body]);
}

/** OPT: what of EDNS this side has. */
export function optionsOf(edns: { wantsDnssec: boolean }, rcode: number): Buffer {
  const options = Buffer.alloc(optionsBytes);
  options.writeUInt16BE(types.OPT, 1);
  options.writeUInt16BE(udpBytesMax, 3);
  options.writeUInt8(rcode >> 4, 5);
  options.writeUInt16BE(edns.wantsDnssec ? wantsDnssec : 0, 7);
  return options;
}

/** Writes records, each whole or not at all, and names in as few bytes as the ones before allow. */
class Writer {
  readonly #buffer: Buffer;
  readonly #places = new Map<string, number>();
  /** Names that were written, and are not among `#places` yet. */
  readonly #unread: { name: Name; at: number }[] = [];
  #first: { name: Name; at: number } | undefined;
  #end = headerBytes;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  body(): Buffer {
    return this.#buffer.subarray(headerBytes, this.#end);
  }

  bytes(bytes: Buffer, at: number): void {
    bytes.copy(this.#buffer, at);
    this.#end = at + bytes.length;
  }

  /** That a name stands at `at`: others can point to it and to what it ends with. */
  remember(name: Name, at: number): void {
    this.#first ??= { name, at };
    this.#unread.push({ name, at });
  }

  /** Where a name stands already. Most replies repeat the question's and no other, which needs no looking. */
  #placeOf(name: Name): number | undefined {
    if (name === this.#first?.name) return this.#first.at;
    for (const written of this.#unread.splice(0)) {
      let { at } = written;
      written.name.forEach((label, i) => {
        const key = keyOf(written.name.slice(i));
        if (at <= pointerMax && !this.#places.has(key)) this.#places.set(key, at);
        at += 1 + label.length;
      });
    }
    return this.#places.get(keyOf(name));
  }

  /** Whether there was room. */
  record(record: ResourceRecord): boolean {
    const parts: Buffer[] = [];
    const names: [name: Name, at: number][] = [];
    let at = this.#end;
    const add = (part: Buffer) => {
      parts.push(part);
      at += part.length;
    };
    const addName = (name: Name, mayPoint = true) => {
      const { bytes, isNew } = this.#nameBytes(name, mayPoint);
      if (isNew) names.push([name, at]);
      add(bytes);
    };
    addName(record.name);
    const fixed = Buffer.alloc(10);
    fixed.writeUInt16BE(record.type === 'raw' ? record.number : types[record.type], 0);
    fixed.writeUInt16BE(classes.IN, 2);
    fixed.writeUInt32BE(record.ttl, 4);
    add(fixed);
    const dataAt = at;
    addData(record, add, addName);
    fixed.writeUInt16BE(at - dataAt, 8);
    if (at > this.#buffer.length) return false;
    for (const part of parts) this.bytes(part, this.#end);
    for (const [name, place] of names) this.remember(name, place);
    return true;
  }

  #nameBytes(name: Name, mayPoint: boolean): { bytes: Buffer; isNew: boolean } {
    const bytes: Buffer[] = [];
    for (let i = 0; i < name.length; i++) {
      const place = mayPoint ? this.#placeOf(i === 0 ? name : name.slice(i)) : undefined;
      if (place !== undefined) {
        bytes.push(Buffer.of(0xc0 | (place >> 8), place & 0xff));
        return { bytes: Buffer.concat(bytes), isNew: i > 0 };
      }
      const label = name[i] as string;
      bytes.push(Buffer.of(label.length), Buffer.from(label, 'latin1'));
    }
    return { bytes: Buffer.concat([...bytes, Buffer.of(0)]), isNew: true };
  }
}

function addData(
  record: ResourceRecord,
  add: (bytes: Buffer) => void,
  addName: (name: Name, mayPoint?: boolean) => void,
): void {
  const numbers = (bytes: 2 | 4, ...values: number[]) => {
    const buffer = Buffer.alloc(bytes * values.length);
    values.forEach((value, i) => {
      buffer.writeUIntBE(value, i * bytes, bytes);
    });
    add(buffer);
  };
  switch (record.type) {
    case 'A':
    case 'AAAA':
      add(addressBytes(record.address));
      break;
    case 'SRV':
      numbers(2, record.priority, record.weight, record.port);
      addName(record.target, false); // Not to be compressed (RFC 2782).
      break;
    case 'SOA':
      addName(record.primary);
      addName(record.mailbox);
      numbers(4, record.serial, ...record.timers);
      break;
    case 'TXT': {
      const text = Buffer.from(record.text).subarray(0, 255);
      add(Buffer.concat([Buffer.of(text.length), text]));
      break;
    }
    case 'raw':
      add(record.data);
      break;
    default:
      addName(record.target);
  }
}

export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address)) return Buffer.alloc(0);
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const parse = (text = '') => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [before, after] = [parse(groups[0]), parse(groups[1])];
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return Buffer.from([...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]));
}
