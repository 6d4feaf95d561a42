import { replyHeaders } from '../../pass-through.ts';
import { type Letter, post } from '../posting.ts';
import type { ReplySink } from '../reply-sink.ts';

/** As a channel's subscription replies: to what `endpoint` says at that time; what it answers in turn goes nowhere. */
export function replyToUrl(endpoint: () => Letter['to']): ReplySink {
  return async ({ event, rawHeaders, cause }, sender) => {
    const letter = { to: endpoint(), event, headers: replyHeaders(rawHeaders, cause.headers), isReplyWanted: false };
    const outcome = await post(letter, sender);
    if (outcome.kind === 'delivered') return undefined;
    return { ...outcome, why: `the reply was not taken: ${outcome.why}` };
  };
}
