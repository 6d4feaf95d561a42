import type { RevisionTarget } from './snapshot.ts';

/** How far a request has come; times are monotonic milliseconds. */
export interface RequestProgress {
  arrivedMs: number;
  /** The last byte from the revision; the arrival before there is one. */
  lastReplyMs: number;
  hasReply: boolean;
  /** It has switched protocols: only silence ends it. */
  isTunnel: boolean;
}

/** When the request must be ended if nothing happens; infinite when nothing bounds it. */
export function requestDeadlineMs(target: RevisionTarget, progress: RequestProgress): number {
  const { arrivedMs, lastReplyMs, hasReply, isTunnel } = progress;
  const idleMs = target.idleTimeoutMs === 0 ? Number.POSITIVE_INFINITY : lastReplyMs + target.idleTimeoutMs;
  if (isTunnel) return idleMs;
  const totalMs = arrivedMs + target.timeoutMs;
  const isStartBounded = !hasReply && target.responseStartTimeoutMs !== 0;
  const startMs = isStartBounded ? arrivedMs + target.responseStartTimeoutMs : Number.POSITIVE_INFINITY;
  return Math.min(totalMs, startMs, idleMs);
}
