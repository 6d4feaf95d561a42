import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestDeadlineMs } from './request-deadline.ts';
import type { Limits } from './routes/change.ts';
import { targetOf } from './testing/routes.ts';

describe("a request's deadline", () => {
  const all = { timeoutMs: 100, responseStartTimeoutMs: 50, idleTimeoutMs: 30 };
  const start = { timeoutMs: 100, responseStartTimeoutMs: 50 };
  const waiting = { lastReplyMs: 10, hasReply: false, hasInterim: false };
  const interim = { ...waiting, lastReplyMs: 40, hasInterim: true };
  const replying = { ...waiting, lastReplyMs: 60, hasReply: true };
  const never = Number.POSITIVE_INFINITY;
  const cases: [name: string, limits: Partial<Limits>, progress: typeof waiting, deadlineMs: number][] = [
    ['counts from arrival', { timeoutMs: 100 }, waiting, 110],
    ['is the start of the reply while there is none', start, waiting, 60],
    ['is not about the start once there is an interim reply', start, interim, 110],
    ['is never once there is a reply', start, replying, never],
    ['is the earliest of all', all, waiting, 40],
    ['moves on with each byte', all, interim, 70],
    ['never moves past the total before the reply has begun', all, { ...interim, lastReplyMs: 105 }, 110],
    ['of a reply that has begun is about silence only', all, { ...replying, lastReplyMs: 500 }, 530],
  ];
  for (const [name, limits, progress, deadlineMs] of cases) {
    it(name, () => {
      assert.equal(requestDeadlineMs({ ...targetOf('r'), ...limits }, { arrivedMs: 10, ...progress }), deadlineMs);
    });
  }
});
