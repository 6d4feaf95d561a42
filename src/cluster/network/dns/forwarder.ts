import { randomInt } from 'node:crypto';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../observe/log.ts';
import { type Asked, askOverTcp, askOverUdp, NoAnswerError, type Upstream } from './ask.ts';
import { AnswerCache, type CachedAnswer } from './cache.ts';
import { Upstreams } from './upstreams.ts';
import { flags, headerBytes, rcodes, types } from './wire/constants.ts';
import { type Message, negativeTtl, withoutOptions } from './wire/message.ts';
import { keyOf } from './wire/name.ts';
import type { Question } from './wire/query.ts';
import { optionsOf } from './wire/reply.ts';

export interface ForwarderOptions {
  resolvConf: string;
  ownAddresses: readonly string[];
  clock: Clock;
  log: Logger;
  upstreamPort?: number | undefined;
}

/** What the client wants besides the question: others who want the same share the answer. */
export interface Wanted {
  wantsDnssec: boolean;
  isCheckingDisabled: boolean;
}

export interface ForwardedAnswer extends CachedAnswer {
  /** How much of the records' TTLs is over. */
  ageSeconds: number;
}

/** How long a server may take, and all of them: what asks us waits five seconds. */
const tryMs = 1_500;
const allMs = 4_000;
/** Questions that wait for an answer; further ones are told so at once. */
const askedMax = 512;
/** As the cache of CoreDNS is set up by kubeadm. */
const ttlMaxSeconds = 30;
/** That nobody answered is remembered for a moment: clients that try again at once would find the same. */
const failureMs = 1_000;
const failuresMax = 1_024;

/**
 * Asks the host's DNS servers. Who asks what is being asked already waits for the same answer: so a circle of servers
 * that leads back here ends at once in waiting, and that in time.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #upstreams: Upstreams;
  readonly #cache: AnswerCache;
  readonly #asked = new Map<string, Promise<ForwardedAnswer | undefined>>();
  readonly #failed = new Map<string, number>();

  constructor(options: ForwarderOptions) {
    const { clock, log, ownAddresses, resolvConf: file, upstreamPort: port } = options;
    this.#options = options;
    this.#upstreams = new Upstreams({ file, ownAddresses, clock, log, port });
    this.#cache = new AnswerCache(clock);
  }

  /** Undefined when nobody answers. Never rejects. */
  async ask(question: Question, wanted: Wanted): Promise<ForwardedAnswer | undefined> {
    const { class: of, name, type } = question;
    const key = [keyOf(name), type, of, wanted.wantsDnssec, wanted.isCheckingDisabled].join(' ');
    const known = this.#cache.get(key);
    if (known) return known;
    const failedAtMs = this.#failed.get(key);
    if (failedAtMs !== undefined) {
      if (this.#options.clock.monotonic() - failedAtMs < failureMs) return undefined;
      this.#failed.delete(key);
    }
    const underWay = this.#asked.get(key);
    if (underWay) return await underWay;
    if (this.#asked.size >= askedMax) return undefined;
    const asking = this.#askAll(key, question, wanted);
    this.#asked.set(key, asking);
    try {
      return await asking;
    } finally {
      this.#asked.delete(key);
    }
  }

  async #askAll(key: string, question: Question, wanted: Wanted): Promise<ForwardedAnswer | undefined> {
    const { clock, log } = this.#options;
    const untilMs = clock.monotonic() + allMs;
    let last: Message | undefined;
    for (const upstream of this.#upstreams.candidates()) {
      const leftMs = untilMs - clock.monotonic();
      if (leftMs <= 0) break;
      try {
        const message = await this.#askOne(upstream, question, wanted, Math.min(leftMs, tryMs));
        // It may be that only this one cannot tell.
        last = message;
        if (message.rcode === rcodes.NOERROR || message.rcode === rcodes.NXDOMAIN) break;
      } catch (error) {
        if (!(error instanceof NoAnswerError)) {
          log.error({ err: error, upstream: upstream.address }, 'a DNS server could not be asked');
        }
      }
    }
    if (last) return this.#keep(key, last);
    this.#failed.delete(key);
    this.#failed.set(key, clock.monotonic());
    const [oldest] = this.#failed.keys();
    if (this.#failed.size > failuresMax && oldest !== undefined) this.#failed.delete(oldest);
    return undefined;
  }

  async #askOne(upstream: Upstream, question: Question, wanted: Wanted, timeoutMs: number): Promise<Message> {
    const { clock } = this.#options;
    this.#upstreams.begin(upstream);
    let hasAnswered = false;
    try {
      let asked = askedOf(question, wanted, true);
      let message = await askOverUdp(upstream, asked, clock, timeoutMs);
      hasAnswered = true;
      if (message.rcode === rcodes.FORMERR || message.rcode === rcodes.NOTIMP) {
        // It knows no EDNS.
        asked = askedOf(question, wanted, false);
        message = await askOverUdp(upstream, asked, clock, timeoutMs);
      }
      return message.isTruncated ? await askOverTcp(upstream, asked, clock, timeoutMs) : message;
    } finally {
      this.#upstreams.done(upstream, hasAnswered);
    }
  }

  #keep(key: string, message: Message): ForwardedAnswer {
    const answer = withoutOptions(message);
    const ttl = ttlOf(answer);
    if (ttl > 0) this.#cache.set(key, answer, Math.min(ttl, ttlMaxSeconds));
    return { bytes: answer.bytes, records: answer.records, ageSeconds: 0 };
  }
}

/** In seconds; 0 is not to be kept. */
function ttlOf(message: Message): number {
  const { rcode, records } = message;
  if (rcode !== rcodes.NOERROR && rcode !== rcodes.NXDOMAIN) return 0;
  const isNegative = rcode === rcodes.NXDOMAIN || !records.some(({ section }) => section === 'answer');
  if (isNegative) return negativeTtl(message) ?? 0;
  return Math.min(...records.map(({ ttl }) => ttl));
}

/** The question as this server asks it: with an id that nobody can guess, and room for what DNSSEC adds. */
function askedOf(question: Question, { isCheckingDisabled, wantsDnssec }: Wanted, hasOptions: boolean): Asked {
  const id = randomInt(0x10000);
  const head = Buffer.alloc(headerBytes);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(flags.wantsRecursion | (isCheckingDisabled ? flags.isCheckingDisabled : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(hasOptions ? 1 : 0, 10);
  const labels = question.name.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  const tail = Buffer.alloc(5);
  tail.writeUInt16BE(question.type, 1);
  tail.writeUInt16BE(question.class, 3);
  const options = hasOptions ? [optionsOf({ wantsDnssec }, 0)] : [];
  return { id, question, message: Buffer.concat([head, ...labels, tail, ...options]) };
}

/** Types whose data name nobody else, so that they can be moved into another message. */
export const movable: readonly number[] = [types.A, types.AAAA, types.TXT];
