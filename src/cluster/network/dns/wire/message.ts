import { flags, headerBytes, types } from './constants.ts';
import { MalformedError, type Name, readName } from './name.ts';
import type { Question } from './query.ts';

/** A record where it stands in a message. */
export interface FoundRecord {
  section: 'answer' | 'authority' | 'additional';
  name: Name;
  type: number;
  class: number;
  ttl: number;
  /** Where it begins, its TTL is, and its data. */
  start: number;
  ttlAt: number;
  dataAt: number;
  dataBytes: number;
}

/** What another server answered. */
export interface Message {
  bytes: Buffer;
  id: number;
  bits: number;
  rcode: number;
  isTruncated: boolean;
  question: Question;
  records: FoundRecord[];
}

const sections = ['answer', 'authority', 'additional'] as const;
const recordsMax = 4096;

/** Throws MalformedError, also of what is no reply to one question. */
export function readMessage(bytes: Buffer): Message {
  if (bytes.length < headerBytes) throw new MalformedError('it has no header');
  const bits = bytes.readUInt16BE(2);
  if ((bits & flags.isReply) === 0 || bytes.readUInt16BE(4) !== 1) throw new MalformedError('it is no reply');
  const { name, end } = readName(bytes, headerBytes, false);
  if (end + 4 > bytes.length) throw new MalformedError('its question is cut off');
  const question = { name, type: bytes.readUInt16BE(end), class: bytes.readUInt16BE(end + 2) };
  const isTruncated = (bits & flags.isTruncated) !== 0;
  const message: Message = {
    bytes,
    id: bytes.readUInt16BE(0),
    bits,
    rcode: bits & flags.rcode,
    isTruncated,
    question,
    records: [],
  };
  // What is cut off is asked for again anyway.
  if (!isTruncated) readRecords(message, end + 4);
  return message;
}

function readRecords({ bytes, records }: Message, start: number): void {
  let at = start;
  sections.forEach((section, i) => {
    const count = bytes.readUInt16BE(6 + 2 * i);
    for (let n = 0; n < count; n++) {
      const { name, end } = readName(bytes, at);
      if (end + 10 > bytes.length || records.length >= recordsMax) throw new MalformedError('a record is cut off');
      const dataBytes = bytes.readUInt16BE(end + 8);
      const dataAt = end + 10;
      if (dataAt + dataBytes > bytes.length) throw new MalformedError("a record's data are cut off");
      records.push({
        section,
        name,
        type: bytes.readUInt16BE(end),
        class: bytes.readUInt16BE(end + 2),
        // The highest bit means nothing (RFC 2181): more than 68 years are none.
        ttl: bytes.readInt32BE(end + 4) < 0 ? 0 : bytes.readUInt32BE(end + 4),
        start: at,
        ttlAt: end + 4,
        dataAt,
        dataBytes,
      });
      at = dataAt + dataBytes;
    }
  });
}

/** The message as long as its last record before OPT, which is of one hop alone. */
export function withoutOptions(message: Message): Message {
  const at = message.records.findIndex(({ type }) => type === types.OPT);
  const options = message.records[at];
  if (!options) return message;
  // What follows may point beyond it; additional records are there to spare a question.
  const records = message.records.slice(0, at);
  const bytes = Buffer.from(message.bytes.subarray(0, options.start));
  bytes.writeUInt16BE(records.filter(({ section }) => section === 'additional').length, 10);
  return { ...message, bytes, records };
}

/** How long a negative answer is one: the lesser of SOA's TTL and its last number (RFC 2308). */
export function negativeTtl({ bytes, records }: Message): number | undefined {
  const soa = records.find(({ section, type }) => section === 'authority' && type === types.SOA);
  if (!soa || soa.dataBytes < 20) return undefined;
  return Math.min(soa.ttl, bytes.readUInt32BE(soa.dataAt + soa.dataBytes - 4));
}
