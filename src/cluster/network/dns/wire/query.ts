import {
  flags,
  headerBytes,
  type Rcode,
  rcodes,
  types,
  udpBytesDefault,
  udpBytesMax,
  wantsDnssec,
} from './constants.ts';
import { MalformedError, type Name, readName } from './name.ts';

export interface Question {
  name: Name;
  type: number;
  class: number;
}

/** What somebody asks. */
export interface Query {
  id: number;
  question: Question;
  /** The question as it was sent, which replies repeat to the letter. */
  questionBytes: Buffer;
  wantsRecursion: boolean;
  isCheckingDisabled: boolean;
  /** Whether it understands, or asks for, that an answer was proved (AD). */
  wantsAuthentic: boolean;
  edns?: { wantsDnssec: boolean } | undefined;
  /** How large a reply over UDP may be. */
  udpBytesMax: number;
}

/** `refused`: a reply that says why, with the question when it could be read; nobody answers what is no query. */
export type Received =
  | { is: 'query'; query: Query }
  | { is: 'refused'; id: number; opcode: number; rcode: Rcode; query?: Query }
  | { is: 'nothing' };

const additionalMax = 8;

export function readQuery(message: Buffer): Received {
  if (message.length < headerBytes) return { is: 'nothing' };
  const id = message.readUInt16BE(0);
  const bits = message.readUInt16BE(2);
  // Answering an answer is how two servers talk for ever.
  if ((bits & flags.isReply) !== 0) return { is: 'nothing' };
  const opcode = bits & flags.opcode;
  const refused = (rcode: Rcode): Received => ({ is: 'refused', id, opcode, rcode });
  if (opcode !== 0) return refused(rcodes.NOTIMP);
  const [questions, answers, authorities, additional] = [4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0 || (additional ?? 0) > additionalMax) {
    return refused(rcodes.FORMERR);
  }
  try {
    const { name, end } = readName(message, headerBytes, false);
    if (end + 4 > message.length) return refused(rcodes.FORMERR);
    const query: Query = {
      id,
      question: { name, type: message.readUInt16BE(end), class: message.readUInt16BE(end + 2) },
      questionBytes: message.subarray(headerBytes, end + 4),
      wantsRecursion: (bits & flags.wantsRecursion) !== 0,
      isCheckingDisabled: (bits & flags.isCheckingDisabled) !== 0,
      wantsAuthentic: (bits & flags.isAuthentic) !== 0,
      udpBytesMax: udpBytesDefault,
    };
    return readOptions(message, end + 4, additional ?? 0, query);
  } catch (error) {
    if (error instanceof MalformedError) return refused(rcodes.FORMERR);
    throw error;
  }
}

/** What EDNS says in the additional records (RFC 6891). */
function readOptions(message: Buffer, start: number, count: number, query: Query): Received {
  const { id } = query;
  let at = start;
  for (let i = 0; i < count; i++) {
    const { name, end } = readName(message, at);
    if (end + 10 > message.length) return { is: 'refused', id, opcode: 0, rcode: rcodes.FORMERR };
    const type = message.readUInt16BE(end);
    const dataBytes = message.readUInt16BE(end + 8);
    at = end + 10 + dataBytes;
    if (at > message.length) return { is: 'refused', id, opcode: 0, rcode: rcodes.FORMERR };
    if (type !== types.OPT) continue;
    if (query.edns || name.length > 0) return { is: 'refused', id, opcode: 0, rcode: rcodes.FORMERR };
    query.edns = { wantsDnssec: (message.readUInt16BE(end + 6) & wantsDnssec) !== 0 };
    query.udpBytesMax = Math.min(Math.max(message.readUInt16BE(end + 2), udpBytesDefault), udpBytesMax);
    if (message[end + 5] !== 0) return { is: 'refused', id, opcode: 0, rcode: rcodes.BADVERS, query };
  }
  return { is: 'query', query };
}
