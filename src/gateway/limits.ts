import { defaultMessageLimits, type MessageLimits } from './http1/limits.ts';

/** Everything that the gateway holds is bounded by these. */
export interface GatewayLimits extends MessageLimits {
  /** Client connections at once; one more is answered 503 and closed. */
  connections: number;
  /** Requests that wait for one revision; one more is answered 503. */
  queuedPerRevision: number;
  /** A request body; unlimited unless set, as bodies stream. 413 beyond it. */
  bodyBytes: number;
  /** From the first byte of a head to its last. */
  headTimeoutMs: number;
  /** A client connection between two requests. */
  clientIdleMs: number;
  /** An upstream connection between two requests: below the 5 s after which Node servers close theirs. */
  upstreamIdleMs: number;
  /** Idle connections kept for one endpoint. */
  idlePerEndpoint: number;
  connectTimeoutMs: number;
  /** How long a closing connection waits for the client to read the reply and close. */
  lingerMs: number;
  /** Bytes taken from a client that are not yet passed on, before its socket is paused. */
  stashBytes: number;
  /** A peer that takes nothing of what it is sent is cut off after this. */
  stallMs: number;
  /** What all connections hold together that is not passed on: beyond it those that stand still are cut off. */
  heldBytes: number;
  /** Interim replies (1xx) before the reply proper; one more makes it a bad one. */
  interimReplies: number;
}

export const defaultLimits: GatewayLimits = {
  ...defaultMessageLimits,
  connections: 10_000,
  queuedPerRevision: 10_000,
  bodyBytes: Number.POSITIVE_INFINITY,
  headTimeoutMs: 10_000,
  clientIdleMs: 75_000,
  upstreamIdleMs: 4_000,
  idlePerEndpoint: 1_024,
  connectTimeoutMs: 3_000,
  lingerMs: 1_000,
  stashBytes: 64 * 1024,
  stallMs: 300_000,
  heldBytes: 256 * 1024 * 1024,
  interimReplies: 64,
};
