import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoReplyError, UnsendableError } from '../../lib/http-client.ts';
import type { HttpReply } from '../poster.ts';
import { outcomeOf, outcomeOfError, outcomeOfNoReply, unusable } from './outcome.ts';

const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'replied' };
const minimalReply = { specversion: '1.0', id: '1', source: '/s', type: 't' };
const reply = (status: number, headers: Record<string, string> = {}, body = ''): HttpReply => ({
  status,
  headers,
  rawHeaders: Object.entries(headers).flat(),
  body: Buffer.from(body),
  isCut: false,
});

for (const [status, headers, body, expected] of [
  [200, {}, '', 'delivered'],
  [204, {}, '', 'delivered'],
  [299, {}, '', 'delivered'],
  [200, { ...replyHeaders, 'content-type': 'text/plain' }, 'hi', 'reply'],
  [201, { 'content-type': 'application/cloudevents+json' }, JSON.stringify(minimalReply), 'reply'],
  [202, replyHeaders, 'hi', 'delivered'],
  [204, replyHeaders, '', 'delivered'],
  [200, { 'content-type': 'text/plain' }, 'ok', 'retry 502'],
  [200, { 'ce-specversion': '1.0' }, '', 'retry 502'],
  [200, { 'content-type': 'application/cloudevents-batch+json' }, '[]', 'retry 502'],
  [500, {}, '', 'retry 500'],
  [503, {}, '', 'retry 503'],
  [404, {}, '', 'retry 404'],
  [408, {}, '', 'retry 408'],
  [409, {}, '', 'retry 409'],
  [429, {}, '', 'retry 429'],
  [199, {}, '', 'fail 199'],
  [300, {}, '', 'fail 300'],
  [301, {}, '', 'fail 301'],
  [400, {}, '', 'fail 400'],
  [401, {}, '', 'fail 401'],
  [403, {}, '', 'fail 403'],
  [413, {}, '', 'fail 413'],
  [499, {}, '', 'fail 499'],
] as const) {
  test(`a reply of ${status} with ${JSON.stringify(headers)} and "${body}" is: ${expected}`, () => {
    const outcome = outcomeOf(reply(status, headers, body), 0);
    const ofDelivery = () => (outcome.kind === 'delivered' && outcome.reply ? 'reply' : 'delivered');
    const ofFailure = ({ canRetry, code }: { canRetry: boolean; code: number }) =>
      `${canRetry ? 'retry' : 'fail'} ${code}`;
    assert.equal(outcome.kind === 'failed' ? ofFailure(outcome) : ofDelivery(), expected);
  });
}

test('Retry-After is for 429 and 503 alone', () => {
  const waits = [429, 503, 500, 404].map((status) => {
    const outcome = outcomeOf(reply(status, { 'retry-after': '7' }), 0);
    return outcome.kind === 'failed' && outcome.retryAfterMs;
  });
  assert.deepEqual(waits, [7000, 7000, 0, 0]);
});

test('a reply that is too large is a failure worth another attempt, of which a kilobyte is kept', () => {
  const outcome = outcomeOf({ ...reply(200, replyHeaders, 'x'.repeat(5000)), isCut: true }, 0);
  assert.deepEqual(outcome, {
    kind: 'failed',
    canRetry: true,
    code: 502,
    data: Buffer.from('x'.repeat(1024)),
    why: 'the reply is larger than 5000 bytes',
    retryAfterMs: 0,
  });
});

test('a mistake of ours is not taken for one of the reply', () => {
  const broken = { ...reply(200, replyHeaders), rawHeaders: undefined as unknown as string[] };
  assert.throws(() => outcomeOf(broken, 0), TypeError);
});

const failed = { kind: 'failed', code: 500, retryAfterMs: 0 };
const data = (text: string) => ({ data: Buffer.from(text) });

test('no reply is 500, and worth another attempt', () => {
  assert.deepEqual(outcomeOfNoReply(new NoReplyError('nobody there', 'ECONNREFUSED')), {
    ...failed,
    canRetry: true,
    why: 'nobody there (ECONNREFUSED)',
    ...data('dispatch error: nobody there'),
  });
});

test('what goes wrong on our side is worth another attempt, unless the event itself cannot be sent', () => {
  const ours = { ...failed, ...data('no'), why: 'no' };
  assert.deepEqual(outcomeOfError(new Error('no')), { ...ours, canRetry: true, isUnsendable: false });
  assert.deepEqual(outcomeOfError(new UnsendableError('no')), { ...ours, canRetry: false, isUnsendable: true });
});

test('an event that cannot even be tried is given up as 500', () => {
  assert.deepEqual(unusable('no'), { ...failed, ...data('no'), why: 'no', canRetry: false });
});
