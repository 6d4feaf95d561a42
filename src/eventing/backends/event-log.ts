import type { Logger } from '../../observe/log.ts';
import type { CloudEvent } from '../cloudevents/event.ts';

/**
 * Where events are kept: one durable log for each broker (or channel). Each folder beside this file is a way to do it.
 *
 *     append ──▶ log ──▶ subscription ──take──▶ delivery ──ack──▶ done
 *                           ▲                      │
 *                           └──nack, the deadline, a crash, close: it is handed out again
 *
 * Nobody but the backend knows how events are numbered, or whether they are.
 */
export interface LogBackend {
  /** Opens the log of that name, which is made when there is none. Throws why it cannot be opened. */
  open(name: LogName, options: OpenOptions): Promise<EventLog>;
  /** The names of all logs that are kept, open or not. */
  list(): Promise<readonly LogName[]>;
  /** Removes a log that is not open, with its events and places. One that is not there is no error. */
  remove(name: LogName): Promise<void>;
}

/** A log has the name of its object, which survives a move of the platform; whose it is, its `owner` says. */
export interface LogName {
  namespace: string;
  name: string;
}

export interface OpenOptions {
  log: Logger;
  /** What the log holds is not known any more: nothing is acknowledged until it is opened anew. */
  onFailure(error: unknown): void;
}

/** An event on its way into a log, with the request headers that travel along to its receivers. */
export interface NewEvent {
  event: CloudEvent;
  /** Names and values in turn. */
  headers: readonly string[];
}

/** An event as it is handed out: plain data that other subscriptions may be given, too. */
export interface Delivery extends NewEvent {
  /** Where it stands, in the backend's words: for messages, and nothing to reckon with. */
  readonly offset: number | string;
  /** What it takes in memory, about. */
  readonly sizeBytes: number;
  /** Why the log cannot tell what the event was, where it cannot: then it has no attributes. */
  readonly damage?: string;
}

/** Whatever `append` has acknowledged is there after a crash at any moment. */
export interface EventLog {
  /** Whom it belongs to, as `adopt` was told; undefined in a log that is new. */
  readonly owner: string | undefined;
  /** Writes down, durably, whom it belongs to. */
  adopt(owner: string): Promise<void>;
  /**
   * Resolves once the event is durable. What it rejects is not acknowledged, and is sent again; it may be there all the
   * same where the backend cannot know, as when an answer of its server is lost. Replies may use the last tenth of the
   * space, which is refused to others, so that a full log can still be worked off.
   */
  append(event: NewEvent, options?: { isReply: boolean }): Promise<unknown>;
  /**
   * The consumer's place in the log, durable before this resolves. A consumer that has none starts at the end; one that
   * comes back gets what it was not done with. One subscription of a consumer at a time.
   */
  subscribe(consumer: string, owner: string): Promise<Subscription>;
  /** All that have a place, subscribed or not. */
  consumers(): Promise<readonly Consumer[]>;
  /** Gives up a place whose subscription is closed. A crash may undo it. */
  forget(consumer: string): Promise<void>;
  /** Waits for pending appends, makes the places durable, and lets go of the log. Subscriptions are over. */
  close(): Promise<void>;
}

export interface Consumer {
  name: string;
  /** As `subscribe` was told last. */
  owner: string;
}

/**
 * Hands out each event of the log that its consumer is not done with, at least once and as often as it takes: who gives
 * up an event acks it. What another holder has by now (a deadline passed, a partition moved) may still be acked,
 * nacked and extended: that is no error, and the event may come twice.
 */
export interface Subscription {
  readonly consumer: string;
  /** How long a delivery stays with who took it, unless it asks for more; undefined: until `close`. */
  readonly deadlineMs: number | undefined;
  /** Up to `limit` events, fewer when they are large; none when there are none now. Not called again before it ends. */
  take(limit: number): Promise<readonly Delivery[]>;
  /** Calls `listener` whenever there may be more to take. */
  onReady(listener: () => void): void;
  /** The consumer is done with it, in any order. Durable a moment later: after a crash it may come a second time. */
  ack(delivery: Delivery): void;
  /** It is handed out again, not before `delayMs` have passed. */
  nack(delivery: Delivery, delayMs: number): void;
  /** Its deadline begins anew. */
  extend(delivery: Delivery): void;
  /** Hands out at once, where the backend can, what waits because of a `nack`. */
  retryNow(): void;
  /** How many events the consumer is not done with, as the backend counts them. */
  backlog(): Promise<number>;
  /** How far the consumer is, in the backend's words: for messages. */
  readonly position: number | string;
  /** What was taken and is not done is handed out again to the next subscription of the consumer. */
  close(): Promise<void>;
}
