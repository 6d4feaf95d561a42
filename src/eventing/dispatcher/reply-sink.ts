import type { NewEvent } from '../backends/event-log.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import { replyHeaders } from '../pass-through.ts';
import type { Failure } from './outcome.ts';
import { type Letter, post, type Sender } from './posting.ts';

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

/** To what `endpoint` says at that time; what it answers in turn goes nowhere. */
export function replyToUrl(endpoint: () => Letter['to']): ReplySink {
  return async ({ event, rawHeaders, cause }, sender) => {
    const letter = { to: endpoint(), event, headers: replyHeaders(rawHeaders, cause.headers), isReplyWanted: false };
    const outcome = await post(letter, sender);
    if (outcome.kind === 'delivered') return undefined;
    return { ...outcome, why: `the reply was not taken: ${outcome.why}` };
  };
}
