import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestDeadlineMs } from './request-deadline.ts';
import { defaultTarget, type RevisionTarget } from './snapshot.ts';

describe("a request's deadline", () => {
  const all = { timeoutMs: 100, responseStartTimeoutMs: 50, idleTimeoutMs: 30 };
  const cases: [
    name: string,
    limits: Partial<RevisionTarget>,
    lastReplyMs: number,
    isTunnel: boolean,
    deadlineMs: number,
  ][] = [
    ['counts from arrival', { timeoutMs: 100 }, 10, false, 110],
    ['is the start of the reply while there is none', { timeoutMs: 100, responseStartTimeoutMs: 50 }, 10, false, 60],
    ['is not about the start once there is a reply', { timeoutMs: 100, responseStartTimeoutMs: 50 }, 20, false, 110],
    ['is the earliest of all', all, 10, false, 40],
    ['moves on with each byte of the reply', all, 60, false, 90],
    ['never moves past the total', all, 105, false, 110],
    ['of a tunnel is about silence only', all, 500, true, 530],
    ['of a tunnel without an idle timeout never comes', { timeoutMs: 100 }, 500, true, Number.POSITIVE_INFINITY],
  ];
  for (const [name, limits, lastReplyMs, isTunnel, deadlineMs] of cases) {
    it(name, () => {
      const progress = { arrivedMs: 10, lastReplyMs, hasReply: lastReplyMs > 10, isTunnel };
      assert.equal(requestDeadlineMs({ ...defaultTarget('n', 'r'), ...limits }, progress), deadlineMs);
    });
  }
});
