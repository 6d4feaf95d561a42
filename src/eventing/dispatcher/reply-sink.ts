import type { NewEvent } from '../backends/event-log.ts';
import type { CloudEvent } from '../cloudevents/event.ts';
import type { Failure } from './outcome.ts';
import type { Sender } from './posting.ts';

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
