import { type ForwardedAnswer, type Forwarder, movable } from './forwarder.ts';
import { classes, flags, rcodes, types } from './wire/constants.ts';
import type { FoundRecord } from './wire/message.ts';
import { MalformedError, readName } from './wire/name.ts';
import { type Query, readQuery } from './wire/query.ts';
import {
  encodeBareFailure,
  encodeFailure,
  encodeReply,
  encodeTruncated,
  optionsOf,
  type ResourceRecord,
} from './wire/reply.ts';
import { type Answer, answer, type Zone } from './zone.ts';

export type Transport = 'udp' | 'tcp';

const tcpBytesMax = 65_535;

export interface ResolverDeps {
  zone: Zone;
  /** Whether all that there is in the cluster is known. */
  isReady(): boolean;
  forwarder: Pick<Forwarder, 'ask'>;
}

/**
 * The reply to what came, or none. What the cluster knows is answered at once, what others know when they have; it is
 * of no use to somebody who does not ask for recursion.
 */
export function resolve(
  message: Buffer,
  transport: Transport,
  deps: ResolverDeps,
): Buffer | undefined | Promise<Buffer | undefined> {
  const received = readQuery(message);
  if (received.is === 'nothing') return undefined;
  if (received.is === 'refused') {
    const { id, opcode, query, rcode } = received;
    return query ? encodeFailure(query, rcode) : encodeBareFailure(id, opcode, rcode);
  }
  const { query } = received;
  const found = answer(deps.zone, query.question);
  const bytesMax = transport === 'tcp' ? tcpBytesMax : query.udpBytesMax;
  if (found.is === 'ours') {
    // Not knowing yet is no "there is none".
    if (!deps.isReady() && found.rcode !== rcodes.REFUSED) return encodeFailure(query, rcodes.SERVFAIL);
    return encodeReply(query, { ...found, isAuthoritative: found.rcode !== rcodes.REFUSED }, bytesMax);
  }
  if (!query.wantsRecursion) return encodeFailure(query, rcodes.REFUSED);
  return found.answers.length === 0 ? forward(query, bytesMax, deps) : follow(query, found, bytesMax, deps);
}

/** As another server answers, but for what is between it and us. */
async function forward(query: Query, bytesMax: number, { forwarder }: ResolverDeps): Promise<Buffer> {
  const answered = await forwarder.ask(query.question, wantedBy(query));
  if (!answered) return encodeFailure(query, rcodes.SERVFAIL);
  const options = query.edns ? optionsOf(query.edns, 0) : undefined;
  if (answered.bytes.length + (options?.length ?? 0) > bytesMax) return encodeTruncated(query);
  const bytes = Buffer.from(answered.bytes);
  for (const { ttl, ttlAt } of answered.records) bytes.writeUInt32BE(Math.max(0, ttl - answered.ageSeconds), ttlAt);
  bytes.writeUInt16BE(query.id, 0);
  const isAuthentic = query.wantsAuthentic || query.edns?.wantsDnssec;
  const kept = bytes.readUInt16BE(2) & (flags.rcode | (isAuthentic ? flags.isAuthentic : 0));
  const asked = flags.wantsRecursion | (query.isCheckingDisabled ? flags.isCheckingDisabled : 0);
  bytes.writeUInt16BE(flags.isReply | flags.hasRecursion | asked | kept, 2);
  // The question as this client wrote it: names of the answer point to it.
  query.questionBytes.copy(bytes, 12);
  if (!options) return bytes;
  bytes.writeUInt16BE(bytes.readUInt16BE(10) + 1, 10);
  return Buffer.concat([bytes, options]);
}

/** The links that lead out of the cluster, and what others say of where they lead. */
async function follow(
  query: Query,
  { answers, name }: Answer & { is: 'elsewhere' },
  bytesMax: number,
  { forwarder }: ResolverDeps,
): Promise<Buffer> {
  const answered = await forwarder.ask({ ...query.question, name }, { ...wantedBy(query), wantsDnssec: false });
  if (!answered) return encodeFailure(query, rcodes.SERVFAIL);
  const rcode = (answered.bytes.readUInt16BE(2) & flags.rcode) === rcodes.NXDOMAIN ? rcodes.NXDOMAIN : rcodes.NOERROR;
  try {
    const records = [...answers, ...recordsOf(answered)];
    return encodeReply(query, { rcode, isAuthoritative: false, answers: records }, bytesMax);
  } catch (error) {
    if (error instanceof MalformedError) return encodeFailure(query, rcodes.SERVFAIL);
    throw error;
  }
}

const wantedBy = ({ edns, isCheckingDisabled }: Query) => ({
  wantsDnssec: edns?.wantsDnssec ?? false,
  isCheckingDisabled,
});

function recordsOf(answered: ForwardedAnswer): ResourceRecord[] {
  const { ageSeconds, bytes } = answered;
  return answered.records.flatMap((record): ResourceRecord[] => {
    if (record.section !== 'answer' || record.class !== classes.IN) return [];
    const base = { name: record.name, ttl: Math.max(0, record.ttl - ageSeconds) };
    if (record.type === types.CNAME) return [{ ...base, type: 'CNAME', target: readName(bytes, record.dataAt).name }];
    return movable.includes(record.type)
      ? [{ ...base, type: 'raw', number: record.type, data: dataOf(bytes, record) }]
      : [];
  });
}

const dataOf = (bytes: Buffer, { dataAt, dataBytes }: FoundRecord) => bytes.subarray(dataAt, dataAt + dataBytes);
