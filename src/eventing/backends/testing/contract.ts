/** What any backend must do, as tests: whoever adds one runs them against it (sqlite-backend.test.ts shows how). */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { patienceMs } from '../../../lib/testing/patience.ts';
import { VirtualClock } from '../../../lib/virtual-clock.ts';
import { silentLogger } from '../../../observe/log.ts';
import type { Delivery, EventLog, LogBackend, NewEvent, Subscription } from '../event-log.ts';
import { appendAll } from './append-all.ts';

/** A backend on a storage of its own. */
export interface BackendUnderTest {
  backend: LogBackend;
  /** The backend as the next process finds it after this one was killed now; what is open stays as it is. */
  afterCrash(): LogBackend;
  stop(): void;
}

export interface StartOptions {
  clock: VirtualClock;
  /** Of what one log may hold. */
  bytesMax?: number;
}

const name = { namespace: 'default', name: 'b' };
const opening = { log: silentLogger, onFailure: (error: unknown) => assert.fail(String(error)) };
const event = (id: number | string, source = '/s'): NewEvent => ({
  event: { attributes: { specversion: '1.0', id: String(id), source, type: 't' }, data: Buffer.from('data') },
  headers: ['traceparent', 'x'],
});
const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i);
const idOf = ({ event: { attributes } }: Delivery) => String(attributes.id);
const idsOf = (deliveries: readonly Delivery[]) => deliveries.map(idOf);
const byNumber = (a: string, b: string) => Number(a) - Number(b);

export function testBackend(what: string, start: (options: StartOptions) => BackendUnderTest): void {
  describe(`${what}, as any backend of the event log,`, () => {
    let clock: VirtualClock;
    let world: BackendUnderTest;
    let opened: EventLog[];

    beforeEach(() => begin({}));
    afterEach(() => end());

    function begin(options: Omit<StartOptions, 'clock'>): void {
      clock = new VirtualClock();
      opened = [];
      world = start({ clock, ...options });
    }

    async function end(): Promise<void> {
      for (const log of opened) await log.close();
      world.stop();
    }

    async function open(backend = world.backend): Promise<EventLog> {
      const log = await backend.open(name, opening);
      opened.push(log);
      return log;
    }

    /** The clock moves, and whatever takes real time has it, until `isSo`. */
    async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
      const endMs = performance.now() + patienceMs;
      while (!(await isSo())) {
        assert.ok(performance.now() < endMs, `did not come to be: ${isSo}`);
        await clock.advance(50);
      }
    }

    /** All that can be taken now, with `done` acknowledged as it comes. */
    async function drain(subscription: Subscription, done: (delivery: Delivery) => boolean = () => false) {
      const taken: Delivery[] = [];
      for (;;) {
        const some = await subscription.take(16);
        if (some.length === 0) return taken;
        assert.ok(some.length <= 16);
        for (const each of some) if (done(each)) subscription.ack(each);
        taken.push(...some);
      }
    }

    const all = () => true;

    test('hands out what is appended after a consumer has its place, whole, to each of them', async () => {
      const log = await open();
      await log.append(event('before'));
      const first = await log.subscribe('first', 'o');
      await log.append(event(1));
      const second = await log.subscribe('second', 'o');
      await appendAll(log, [event(2), event(3)]);
      const taken = await drain(first);
      assert.deepEqual(idsOf(taken), ['1', '2', '3']);
      assert.deepEqual(idsOf(await drain(second)), ['2', '3']);
      const [{ event: one, headers, sizeBytes, damage }] = taken as [Delivery];
      assert.deepEqual([one, headers], [event(1).event, ['traceparent', 'x']]);
      assert.deepEqual([sizeBytes > 0, damage], [true, undefined]);
    });

    test('hands out the events of one source in their order', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      for (const i of numbers(40)) await log.append(event(i, i % 3 === 0 ? '/long' : '/s'));
      const taken = await drain(subscription, all);
      for (const source of ['/long', '/s']) {
        const ids = idsOf(taken.filter(({ event: one }) => one.attributes.source === source));
        assert.deepEqual(ids, ids.toSorted(byNumber));
      }
      assert.deepEqual(idsOf(taken).toSorted(byNumber), numbers(40).map(String));
    });

    test('hands out nothing twice while it is held, and all of it however little is taken at once', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      await appendAll(
        log,
        numbers(300).map((i) => event(i)),
      );
      const seen: string[] = [];
      while (seen.length < 300) {
        const taken = await drain(subscription);
        assert.ok(taken.length > 0);
        seen.push(...idsOf(taken));
        for (const each of taken) subscription.ack(each);
      }
      assert.deepEqual(seen.toSorted(byNumber), numbers(300).map(String));
    });

    test('calls when there is more to take', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      let calls = 0;
      subscription.onReady(() => calls++);
      await log.append(event(1));
      assert.ok(calls > 0);
      const [first] = await drain(subscription);
      calls = 0;
      subscription.nack(first as Delivery, 5_000);
      await clock.advance(4_999);
      assert.deepEqual([calls, await drain(subscription)], [0, []]);
      await clock.advance(1);
      assert.ok(calls > 0);
      assert.deepEqual(idsOf(await drain(subscription)), ['1']);
    });

    test('hands out at last what was given back, and what was done in any order never again', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      await appendAll(
        log,
        numbers(10).map((i) => event(i)),
      );
      for (const each of await drain(subscription)) {
        if (Number(idOf(each)) % 3 === 0) subscription.nack(each, Number(idOf(each)) * 100);
        else subscription.ack(each);
      }
      const again: string[] = [];
      await until(async () => {
        again.push(...idsOf(await drain(subscription, all)));
        return again.length === 3;
      });
      assert.deepEqual(again, ['3', '6', '9']);
      await clock.advance(3_600_000);
      assert.deepEqual(await drain(subscription), []);
    });

    test('hands out what waits at once when it is asked to, or after its time', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      await log.append(event(1));
      for (const each of await drain(subscription)) subscription.nack(each, 60_000);
      subscription.retryNow();
      const again: string[] = [];
      await until(async () => {
        again.push(...idsOf(await drain(subscription, all)));
        return again.length === 1;
      });
    });

    test('leaves a delivery with its holder for as long as it asks for, and no longer than its deadline', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      await appendAll(log, [event(1), event(2)]);
      const [first, second] = (await drain(subscription)) as [Delivery, Delivery];
      const stepMs = (subscription.deadlineMs ?? 60_000) / 2;
      for (let i = 0; i < 6; i++) {
        await clock.advance(stepMs);
        subscription.extend(first);
        if (subscription.deadlineMs === undefined) subscription.extend(second);
      }
      assert.deepEqual(idsOf(await drain(subscription)), subscription.deadlineMs === undefined ? [] : ['2']);
    });

    test('takes no harm from who is late: what it acks does not come again, what it gives back does', async () => {
      const log = await open();
      const before = await log.subscribe('c', 'o');
      await appendAll(log, [event(1), event(2), event(3)]);
      const [first, second, third] = (await drain(before)) as [Delivery, Delivery, Delivery];
      const after = await log.subscribe('c', 'o');
      before.ack(first);
      before.nack(second, 0);
      before.extend(third);
      await clock.advance(100);
      const again = new Set<string>();
      await until(async () => {
        for (const id of idsOf(await drain(after, all))) again.add(id);
        return (await after.backlog()) === 0;
      });
      assert.deepEqual([...again].toSorted(byNumber), ['2', '3']);
    });

    test('gives a subscription that comes back what it was not done with, and no more', async () => {
      const log = await open();
      const before = await log.subscribe('c', 'o');
      await appendAll(
        log,
        numbers(9).map((i) => event(i)),
      );
      await drain(before, (each) => Number(idOf(each)) % 2 === 0);
      await before.close();
      await log.append(event(10));
      assert.deepEqual(await before.take(10), []);
      const again = await log.subscribe('c', 'o');
      const expected = ['1', '3', '5', '7', '9', '10'];
      assert.deepEqual(idsOf(await drain(again)), expected);
      await log.close();
      assert.deepEqual(idsOf(await drain(await (await open()).subscribe('c', 'o'))), expected);
    });

    test('has after a crash all that was acknowledged, and hands out what was not done', async () => {
      const log = await open();
      const subscription = await log.subscribe('c', 'o');
      const accepted: string[] = [];
      await Promise.all(
        numbers(30).map(async (i) => {
          await log.append(event(i));
          accepted.push(String(i));
        }),
      );
      const done = new Set<string>();
      await drain(subscription, (each) => Number(idOf(each)) <= 10 && done.add(idOf(each)) !== undefined);
      const after = await open(world.afterCrash());
      assert.deepEqual(await after.consumers(), [{ name: 'c', owner: 'o' }]);
      const found = idsOf(await drain(await after.subscribe('c', 'o')));
      const owed = accepted.filter((id) => !done.has(id));
      assert.deepEqual(
        owed.filter((id) => !found.includes(id)),
        [],
      );
      assert.equal(new Set(found).size, found.length);
    });

    test('counts what each consumer is not done with; a slow one does not hold up a quick one', async () => {
      const log = await open();
      const [quick, slow] = await Promise.all([log.subscribe('quick', 'o'), log.subscribe('slow', 'o')]);
      await appendAll(
        log,
        numbers(20).map((i) => event(i)),
      );
      await slow.take(5);
      assert.deepEqual([await quick.backlog(), await slow.backlog()], [20, 20]);
      const before = String(quick.position);
      assert.equal((await drain(quick, all)).length, 20);
      assert.notEqual(String(quick.position), before);
      await until(async () => (await quick.backlog()) === 0);
      assert.equal(await slow.backlog(), 20);
      await log.append(event(21));
      assert.deepEqual(idsOf(await drain(quick, all)), ['21']);
    });

    test('forgets a consumer that is to be forgotten, and none beside it', async () => {
      const log = await open();
      const [gone, kept] = await Promise.all([log.subscribe('gone', 'o'), log.subscribe('kept', 'o')]);
      await log.append(event(1));
      await Promise.all([gone.close(), kept.close()]);
      await log.forget('gone');
      await log.forget('unknown');
      assert.deepEqual(await log.consumers(), [{ name: 'kept', owner: 'o' }]);
      const back = await log.subscribe('gone', 'p');
      await log.append(event(2));
      assert.deepEqual(idsOf(await drain(back)), ['2']);
      assert.deepEqual(idsOf(await drain(await log.subscribe('kept', 'o'))), ['1', '2']);
    });

    test('keeps whose a log and a place are; a new owner of a place gets what is in it', async () => {
      const log = await open();
      assert.equal(log.owner, undefined);
      await log.adopt('first');
      await (await log.subscribe('c', 'one')).close();
      await log.append(event(1));
      await log.close();
      const again = await open();
      assert.equal(again.owner, 'first');
      const subscription = await again.subscribe('c', 'other');
      assert.deepEqual(idsOf(await drain(subscription)), ['1']);
      await again.adopt('second');
      const crashed = await open(world.afterCrash());
      assert.equal(crashed.owner, 'second');
      assert.deepEqual(await crashed.consumers(), [{ name: 'c', owner: 'other' }]);
    });

    test('refuses events when it is full, takes replies a while longer, and all once there is room', async () => {
      await end();
      begin({ bytesMax: 20_000 });
      const log = await open();
      const subscription = await log.subscribe('slow', 'o');
      let count = 0;
      const fill = async () => {
        for (;;) {
          await log.append(event(count + 1));
          count++;
        }
      };
      await assert.rejects(fill, { code: 'EVENT_LOG_FULL' });
      await log.append(event('reply'), { isReply: true });
      assert.equal(await subscription.backlog(), count + 1);
      while ((await drain(subscription, all)).length > 0);
      await until(() =>
        log.append(event('later')).then(
          () => true,
          () => false,
        ),
      );
      assert.deepEqual(idsOf(await drain(subscription)), ['later']);
    });

    test('takes nothing any more once it is closed', async () => {
      const log = await open();
      const pending = log.append(event(1)).catch(() => {}); // Acknowledged or not, as it comes.
      const subscription = await log.subscribe('c', 'o');
      await log.close();
      await pending;
      await assert.rejects(log.append(event(2)), { code: 'BROKER_NOT_READY' });
      assert.deepEqual(await subscription.take(1), []);
    });

    test('lists the logs that are kept; one that is removed begins anew', async () => {
      const names = [name, { namespace: 'default', name: 'b.c' }, { namespace: 'other', name: 'b' }];
      const { backend } = world;
      await Promise.all(names.map((each) => backend.remove(each)));
      assert.deepEqual(await backend.list(), []);
      for (const each of names) {
        const log = await backend.open(each, opening);
        await log.adopt(each.namespace);
        await (await log.subscribe('c', 'o')).close();
        await log.append(event(1));
        await log.close();
      }
      const listed = (await backend.list()).map((each) => `${each.namespace}/${each.name}`);
      assert.deepEqual(listed.toSorted(), ['default/b', 'default/b.c', 'other/b']);
      await backend.remove(name);
      assert.equal((await backend.list()).length, 2);
      const anew = await open();
      assert.deepEqual([anew.owner, await anew.consumers()], [undefined, []]);
      const beside = await backend.open({ namespace: 'other', name: 'b' }, opening);
      opened.push(beside);
      assert.deepEqual(idsOf(await drain(await beside.subscribe('c', 'o'))), ['1']);
    });
  });
}
