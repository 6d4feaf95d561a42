import type { Delivery } from '../event-log.ts';

/** The place of an event in its log: 1, 2, 3 … in the order in which they became durable, without gaps. */
export type Offset = number;

export interface StoredEvent extends Delivery {
  readonly offset: Offset;
  /** Milliseconds since 1970. */
  readonly arrivedAt: number;
}
