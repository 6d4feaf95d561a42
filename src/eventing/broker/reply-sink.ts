import type { Clock } from '../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import type { EventLog, NewEvent } from '../backends/event-log.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import { type Failure, failure } from './outcome.ts';
import { replyHeaders } from './pass-through.ts';
import { type Letter, post, type Sender } from './posting.ts';
import { nextTtl, ttlAttribute } from './time-to-live.ts';

/** What a subscriber answered to a delivery, on its way to where replies go. */
export interface Reply {
  event: CloudEvent;
  /** The headers that came with it, names and values in turn. */
  rawHeaders: readonly string[];
  /** The event that it answers. */
  cause: NewEvent;
}

/**
 * Where the replies of one subscriber go. Resolves when the reply is kept there, or with why it is not: then the
 * delivery that it answers has failed. A broker's is its own log, a channel subscription's another URL.
 */
export type ReplySink = (reply: Reply, sender: Sender) => Promise<Failure | undefined>;

/** Into a broker's log, durably; the events of a loop of replies end once their time to live is used up. */
export function replyToLog(events: Pick<EventLog, 'append'>, clock: Clock): ReplySink {
  return async ({ event, rawHeaders, cause }) => {
    const ttl = nextTtl(cause.event.attributes);
    if (ttl <= 0) {
      const why = `${ttlAttribute} is used up: the replies of this broker's subscribers go round in a loop`;
      return failure(false, 400, Buffer.from(why), why);
    }
    const knativearrivaltime = new Date(clock.now()).toISOString();
    const attributes = { ...event.attributes, [ttlAttribute]: ttl, knativearrivaltime };
    const entry = { event: { ...event, attributes }, headers: replyHeaders(rawHeaders, cause.headers) };
    try {
      await events.append([entry], { isReply: true });
      return undefined;
    } catch (error) {
      const code = error instanceof KittiwakeError ? error.status : 503;
      return failure(true, code, Buffer.from(messageOf(error)), `the reply was not stored: ${messageOf(error)}`);
    }
  };
}

/** To what `endpoint` says at that time; what it answers in turn goes nowhere. */
export function replyToUrl(endpoint: () => Letter['to']): ReplySink {
  return async ({ event, rawHeaders, cause }, sender) => {
    const letter = { to: endpoint(), event, headers: replyHeaders(rawHeaders, cause.headers), isReplyWanted: false };
    const outcome = await post(letter, sender);
    if (outcome.kind === 'delivered') return undefined;
    return { ...outcome, why: `the reply was not taken: ${outcome.why}` };
  };
}
