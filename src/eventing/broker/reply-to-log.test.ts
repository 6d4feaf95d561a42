/** Replies into the log that their cause came from: what the dispatcher makes of how that ends. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { commonErrors } from '../../lib/errors.ts';
import { VirtualClock } from '../../lib/virtual-clock.ts';
import type { EventLog, NewEvent } from '../backends/event-log.ts';
import type { StoredEvent } from '../backends/sqlite/stored-event.ts';
import { delivery, dispatching, events, letters, settled, stored } from '../dispatcher/testing/dispatching.ts';
import { replyToLog } from './reply-to-log.ts';

const replyHeaders = { 'ce-specversion': '1.0', 'ce-id': 'r', 'ce-source': '/r', 'ce-type': 'reply' };

/** A dispatcher that answers into a log, of which `refuse` may say why it takes nothing. */
function replying(held: StoredEvent[], { trigger, refuse }: { trigger?: object; refuse?: unknown } = {}) {
  const appended: { event: NewEvent; isReply: boolean | undefined }[] = [];
  const append: EventLog['append'] = async (event, options) => {
    if (refuse !== undefined) throw refuse;
    appended.push({ event, isReply: options?.isReply });
  };
  return {
    appended,
    ...dispatching(held, { trigger: trigger ?? {}, reply: replyToLog({ append }, new VirtualClock()) }),
  };
}

describe('a reply into the log', () => {
  test('does not repeat an event whose replies go round in a loop', async () => {
    const attributes = { ...stored(1).event.attributes, knativebrokerttl: 1 };
    const trigger = { delivery: { ...delivery, retries: 3 } };
    const { counts, answer, appended } = replying([stored(1, { event: { attributes } })], { trigger });
    await settled();
    await answer(0, 200, replyHeaders);
    assert.deepEqual([appended, counts.retried, counts.dropped], [[], 0, 1]);
  });

  test('lets a reply in as often as its event says, and says 400 of the next', async () => {
    const attributes = (knativebrokerttl: number) => ({ ...stored(1).event.attributes, knativebrokerttl });
    const held = [
      stored(1, { event: { attributes: attributes(2) } }),
      stored(2, { event: { attributes: attributes(1) } }),
    ];
    const { answer, appended, posts } = replying(held, { trigger: { deadLetterSink: letters } });
    await settled();
    await answer(0, 200, replyHeaders);
    assert.equal(appended[0]?.event.event.attributes.knativebrokerttl, 1);
    await answer(1, 200, replyHeaders);
    const { headers = [] } = posts[2] ?? {};
    assert.equal(headers[headers.indexOf('ce-knativeerrorcode') + 1], '400');
  });

  test('attempts again what was answered with a reply that could not be stored', async () => {
    const trigger = { delivery: { ...delivery, retries: 1 } };
    const { answer, counts } = replying(events(1), { trigger, refuse: new Error('full') });
    await settled();
    await answer(0, 200, replyHeaders);
    assert.equal(counts.retried, 1);
  });

  test('appends a reply as such, in what is kept for replies', async () => {
    const { counts, answer, appended } = replying(events(1));
    await settled();
    await answer(0, 200, replyHeaders);
    assert.deepEqual([appended[0]?.isReply, appended[0]?.event.event.attributes.id], [true, 'r']);
    assert.equal(counts.delivered, 1);
  });

  for (const [error, code] of [
    [commonErrors.DISK_FULL({ path: 'log.db' }), '507'],
    [new TypeError('a mistake'), '503'],
  ] as const) {
    test(`says ${code} of a reply that could not be stored: ${error.message}`, async () => {
      const { posts, answer } = replying(events(1), { trigger: { deadLetterSink: letters }, refuse: error });
      await settled();
      await answer(0, 200, replyHeaders);
      const { headers = [] } = posts[1] ?? {};
      assert.equal(headers[headers.indexOf('ce-knativeerrorcode') + 1], code);
    });
  }
});
