/** A DNS server elsewhere, of this process. */
import type { TestContext } from 'node:test';
import { silentLogger } from '../../../../observe/log.ts';
import { startDnsServer } from '../server.ts';
import { rcodes } from '../wire/constants.ts';
import { type Query, readQuery } from '../wire/query.ts';
import { encodeFailure, encodeReply, encodeTruncated, type Reply, type ResourceRecord } from '../wire/reply.ts';

export interface TestUpstream {
  port: number;
  /** `NAME TYPE transport` of each question that came. */
  asked: string[];
  stop(): Promise<void>;
}

/** Where it listens: as systemd-resolved does. */
export const upstreamAddress = '127.0.0.53';

type Said = Partial<Reply> | 'silence' | 'truncated over udp' | Buffer;

/** Answers as `say` says; NXDOMAIN where that is undefined. */
export async function testUpstream(
  t: TestContext,
  say: (query: Query) => Said | undefined,
  port = 0,
): Promise<TestUpstream> {
  const asked: string[] = [];
  const server = await startDnsServer({
    address: upstreamAddress,
    port,
    isClient: () => true,
    log: silentLogger,
    resolve(message, transport) {
      const received = readQuery(message);
      if (received.is !== 'query') return undefined;
      const { query } = received;
      asked.push(`${query.question.name.join('.')} ${query.question.type} ${transport}`);
      const said = say(query);
      if (said === 'silence') return undefined;
      if (Buffer.isBuffer(said)) return said;
      if (said === undefined) return encodeFailure(query, rcodes.NXDOMAIN);
      const isCut = said === 'truncated over udp';
      if (isCut && transport === 'udp') return encodeTruncated(query);
      const answers = many(query);
      const reply = { rcode: rcodes.NOERROR, isAuthoritative: false, answers, ...(isCut ? {} : said) };
      return encodeReply(query, reply, transport === 'udp' ? query.udpBytesMax : 65_535);
    },
  });
  let isStopped = false;
  const stop = async () => {
    if (!isStopped) await server.stop();
    isStopped = true;
  };
  t.after(stop);
  return { port: server.port, asked, stop };
}

const many = ({ question: { name } }: Query): ResourceRecord[] =>
  Array.from({ length: 100 }, (_, i) => ({ name, ttl: 60, type: 'A', address: `203.0.113.${i}` }));

export const a = ({ question: { name } }: Query, address: string, ttl = 60): ResourceRecord => ({
  name,
  ttl,
  type: 'A',
  address,
});
