import type { Clock } from '../../lib/clock.ts';
import { KittiwakeError, messageOf } from '../../lib/errors.ts';
import type { EventLog } from '../backends/event-log.ts';
import { failure } from '../dispatcher/outcome.ts';
import type { ReplySink } from '../dispatcher/reply-sink.ts';
import { replyHeaders } from '../pass-through.ts';
import { nextTtl, ttlAttribute } from './time-to-live.ts';

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
      await events.append(entry, { isReply: true });
      return undefined;
    } catch (error) {
      const code = error instanceof KittiwakeError ? error.status : 503;
      return failure(true, code, Buffer.from(messageOf(error)), `the reply was not stored: ${messageOf(error)}`);
    }
  };
}
