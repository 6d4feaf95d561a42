import type { CloudEvent } from '../cloudevents/event.ts';

/** The place of an event in its log: 1, 2, 3 … in the order in which they became durable, without gaps. */
export type Offset = number;

/** An event on its way into a log, with the request headers that travel along to its receivers. */
export interface NewEvent {
  event: CloudEvent;
  /** Names and values in turn. */
  headers: readonly string[];
}

export interface StoredEvent extends NewEvent {
  offset: Offset;
  /** Milliseconds since 1970. */
  arrivedAt: number;
  sizeBytes: number;
  /** Why the log cannot tell what the event was, where it cannot: then it has no attributes. */
  damage?: string;
}

/**
 * The durable log of one broker. A backend is one folder or file that implements this. Whatever `append` has
 * acknowledged is there after a crash at any moment; what it rejected is not there.
 */
export interface EventLog {
  /**
   * Resolves with the offset of the last event once all of them are on disk; rejects when none of them is. Replies may
   * use the last tenth of the space, which is refused to others, so that a full log can still be worked off.
   */
  append(events: readonly NewEvent[], options?: { isReply: boolean }): Promise<Offset>;
  /** Up to `limit` durable events from `from` on, in order; fewer when they are large. Empty at the end. */
  read(from: Offset, limit: number): Promise<readonly StoredEvent[]>;
  /** The consumer's cursor; a consumer that has none starts at the end, durably before this resolves. */
  cursor(consumer: string): Promise<Cursor>;
  /** Forgets the consumers for which `isKept` is false: their events need not be kept any more. */
  retain(isKept: (consumer: string) => boolean): void;
  /** The offset that the next event gets; all before it are durable. */
  readonly end: Offset;
  /** What the log holds for its consumers. */
  readonly heldBytes: number;
  /** Calls `listener` after each append, when the events are durable. Returns how to stop that. */
  onAppend(listener: () => void): () => void;
  /** Waits for pending appends, writes the cursors, and lets go of the file. */
  close(): Promise<void>;
}

/** How far one consumer is. It becomes durable a moment after: after a crash, an event may come a second time. */
export interface Cursor {
  readonly consumer: string;
  /** Every event before this one is done. */
  readonly position: Offset;
  isDone(offset: Offset): boolean;
  /** Marks one event as done, in any order. */
  done(offset: Offset): void;
}
