import type { Limits } from './routes/change.ts';

/** How far a request has come; times are monotonic milliseconds. */
export interface RequestProgress {
  arrivedMs: number;
  /** The last byte from the revision; the arrival before there is one. */
  lastReplyMs: number;
  /** The reply has begun: its head, or the switch of protocols, is on its way to the client. */
  hasReply: boolean;
  /** The revision has sent an interim reply (1xx). */
  hasInterim: boolean;
}

/**
 * When the request must be ended if nothing happens; infinite when nothing bounds it. As Knative's conformance tests
 * have it (TestRevisionTimeout) `timeoutMs` is for the beginning of the reply: afterwards only silence cuts it. The
 * start limit is disarmed by any byte of a reply, an interim one included (pkg/http/handler/timeout.go); the idle limit
 * runs from the arrival, so that waiting for a pod counts.
 */
export function requestDeadlineMs(target: Limits, progress: RequestProgress): number {
  const { arrivedMs, lastReplyMs, hasReply, hasInterim } = progress;
  const idleMs = target.idleTimeoutMs === 0 ? Number.POSITIVE_INFINITY : lastReplyMs + target.idleTimeoutMs;
  if (hasReply) return idleMs;
  const isStartBounded = !hasInterim && target.responseStartTimeoutMs !== 0;
  const startMs = isStartBounded ? arrivedMs + target.responseStartTimeoutMs : Number.POSITIVE_INFINITY;
  return Math.min(arrivedMs + target.timeoutMs, startMs, idleMs);
}
