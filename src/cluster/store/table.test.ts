import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '../../api/meta.ts';
import { StoredObject } from './stored-object.ts';
import { Table } from './table.ts';

const objectOf = (revision: number, text = '') =>
  ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', resourceVersion: String(revision) },
    data: { text },
  }) as KubeObject;
const stored = (revision: number, text = '') => new StoredObject(objectOf(revision, text), revision);
const minutesMs = 60_000;

/** A table in which each of `keys` was written once, at revisions 1, 2 … and minutes 0, 1 … */
function tableOf(...keys: string[]): Table {
  const table = new Table('/configmaps');
  keys.forEach((key, at) => {
    table.apply(key, at + 1, stored(at + 1), at * minutesMs);
  });
  return table;
}

const revisionsOf = (events: readonly { revision: number }[] | undefined) => events?.map(({ revision }) => revision);

describe('a table', () => {
  it('tells what was added, modified and deleted, with what was there before', () => {
    const table = new Table('/configmaps');
    const [first, second, again] = [stored(1), stored(2), stored(4)];
    const events = [
      table.apply('a', 1, first, 10),
      table.apply('a', 2, second, 20),
      table.apply('a', 3, undefined, 30),
      table.apply('a', 4, again, 40),
    ];
    assert.deepEqual(
      events.map(({ type, key, revision, atMs, previous }) => [type, key, revision, atMs, previous]),
      [
        ['ADDED', 'a', 1, 10, undefined],
        ['MODIFIED', 'a', 2, 20, first],
        ['DELETED', 'a', 3, 30, second],
        ['ADDED', 'a', 4, 40, undefined],
      ],
    );
    const [added, , deleted] = events;
    assert.equal(added?.stored, first);
    assert.deepEqual([deleted?.stored.revision, deleted?.stored.object], [3, objectOf(3)]);
    assert.deepEqual([table.get('a'), table.size, table.count('')], [again, 1, 1]);
  });

  it('does not delete what is not there', () => {
    assert.throws(() => new Table('/t').apply('a', 1, undefined, 0), /\/t a was deleted twice/);
  });

  it('lists what it holds in the order of the keys', () => {
    const table = tableOf('b/1', 'a/2', 'a/1');
    table.apply('a/3', 4, stored(4), 0);
    table.apply('a/3', 5, undefined, 0);
    const all = ['a/1', 'a/2', 'b/1'].map((key) => [key, table.get(key)]);
    assert.deepEqual(table.rows(), all);
    assert.deepEqual(table.rows('a/', 'a/1'), [all[1]]);
    assert.deepEqual([table.count('a/'), table.count('a/', 'a/1'), table.size], [2, 1, 3]);
  });

  it('lists what it held at a revision that it remembers', () => {
    const table = new Table('/t');
    const [a, b, c, b2, a5] = [stored(1), stored(2), stored(3), stored(4), stored(6)];
    table.apply('x/a', 1, a, 0);
    table.apply('x/b', 2, b, 0);
    table.apply('y/c', 3, c, 0);
    table.apply('x/b', 4, b2, 0);
    table.apply('x/a', 5, undefined, 0);
    table.apply('x/a', 6, a5, 0);
    const states: [revision: number, prefix: string, after: string, rows: [string, StoredObject][]][] = [
      [0, '', '', []],
      [1, '', '', [['x/a', a]]],
      [
        3,
        '',
        '',
        [
          ['x/a', a],
          ['x/b', b],
          ['y/c', c],
        ],
      ],
      [
        3,
        'x/',
        '',
        [
          ['x/a', a],
          ['x/b', b],
        ],
      ],
      [
        3,
        '',
        'x/a',
        [
          ['x/b', b],
          ['y/c', c],
        ],
      ],
      [
        4,
        'x/',
        '',
        [
          ['x/a', a],
          ['x/b', b2],
        ],
      ],
      [
        5,
        '',
        '',
        [
          ['x/b', b2],
          ['y/c', c],
        ],
      ],
      [
        6,
        '',
        '',
        [
          ['x/a', a5],
          ['x/b', b2],
          ['y/c', c],
        ],
      ],
      [9, 'x/', 'x/a', [['x/b', b2]]],
    ];
    for (const [revision, prefix, after, rows] of states) {
      assert.deepEqual(table.rowsAt(revision, prefix, after), rows, `${revision} ${prefix} ${after}`);
    }
    table.forgetOldest(1);
    assert.deepEqual([table.rowsAt(0, '', ''), table.rowsAt(1, 'y/', '')], [undefined, []]);
  });

  it('tells what happened after a revision, so many of it as asked for', () => {
    const table = new Table('/t');
    for (const revision of [2, 4, 5, 9]) table.apply('a', revision, stored(revision), 0);
    const after = [0, 1, 2, 3, 4, 5, 8, 9, 10].map((revision) => revisionsOf(table.eventsAfter(revision)));
    assert.deepEqual(after, [[2, 4, 5, 9], [2, 4, 5, 9], [4, 5, 9], [4, 5, 9], [5, 9], [9], [9], [], []]);
    assert.deepEqual(revisionsOf(table.eventsAfter(2, 2)), [4, 5]);
  });

  it('knows nothing of before it was loaded, and of what it has forgotten', () => {
    const table = new Table('/t');
    const loaded = stored(7);
    table.load('b', loaded);
    assert.equal(table.get('b'), loaded);
    table.load('a', stored(3));
    assert.deepEqual([table.eventsAfter(6), table.eventsAfter(7)], [undefined, []]);
    assert.deepEqual(
      table.rows().map(([key]) => key),
      ['a', 'b'],
    );
    table.forgetUpTo(9);
    table.forgetUpTo(8);
    assert.deepEqual([table.eventsAfter(8), table.eventsAfter(9)], [undefined, []]);
    for (const revision of [10, 11, 12]) table.apply('a', revision, stored(revision), 0);
    table.forgetOldest(0);
    assert.deepEqual(revisionsOf(table.eventsAfter(9)), [10, 11, 12]);
    table.forgetOldest(2);
    assert.deepEqual([table.eventsAfter(10), revisionsOf(table.eventsAfter(11))], [undefined, [12]]);
  });

  it('remembers events for five minutes', () => {
    const table = tableOf('a', 'b', 'c');
    table.trim(5 * minutesMs);
    assert.deepEqual(revisionsOf(table.eventsAfter(0)), [1, 2, 3]);
    table.trim(6 * minutesMs + 1);
    assert.deepEqual([table.eventsAfter(1), revisionsOf(table.eventsAfter(2))], [undefined, [3]]);
    table.trim(60 * minutesMs);
    assert.deepEqual([table.eventsAfter(2), table.eventsAfter(3), table.weight], [undefined, [], 0]);
  });

  it('remembers 4000 events', () => {
    const table = new Table('/t');
    const object = objectOf(0);
    for (let revision = 1; revision <= 4002; revision++) {
      table.apply('a', revision, new StoredObject(object, revision), 0);
      if (revision === 4000) table.trim(0);
    }
    assert.equal(table.eventsAfter(0)?.length, 4002);
    table.trim(0);
    assert.deepEqual([table.eventsAfter(1), table.eventsAfter(2)?.length], [undefined, 4000]);
  });

  it('weighs what its events keep: the object, its text and the text as it is sent', () => {
    const table = new Table('/t');
    const { weight } = table.apply('a', 1, stored(1, 'x'), 0);
    const object = objectOf(1, 'x');
    // Three objects, each 56; seven fields, each 32 and its name; five texts, each 24 and its characters.
    const names = ['apiVersion', 'kind', 'metadata', 'data', 'name', 'resourceVersion', 'text'].join('').length;
    const texts = ['v1', 'ConfigMap', 'a', '1', 'x'].join('').length;
    const treeBytes = 3 * 56 + 7 * 32 + names + 5 * 24 + texts;
    assert.equal(weight, 512 + treeBytes + 2 * JSON.stringify(object).length);
    const longer = table.apply('a', 2, stored(2, 'é'), 0);
    assert.equal(longer.weight, weight + 2, 'the text is counted in bytes');
    const deleted = table.apply('a', 3, undefined, 0);
    assert.equal(deleted.weight, 512 + 3 * treeBytes);
    assert.equal(table.weight, weight + longer.weight + deleted.weight);
    table.forgetOldest(1);
    assert.equal(table.weight, longer.weight + deleted.weight);
  });

  it('drops the text of an object with its event', () => {
    const table = new Table('/t');
    const one = stored(1);
    let isKept = true;
    one.dropJson = () => {
      isKept = false;
    };
    table.apply('a', 1, one, 0);
    assert.equal(isKept, true);
    table.forgetOldest(1);
    assert.equal(isKept, false);
  });

  it('tells its subscribers until they leave, and what fails in one takes nothing from the next', () => {
    const table = new Table('/t');
    const seen: number[] = [];
    const failures: unknown[] = [];
    const failure = new Error('thrown by a subscriber');
    table.subscribe(() => {
      throw failure;
    });
    const leave = table.subscribe((events) => seen.push(events.length));
    const event = table.apply('a', 1, stored(1), 0);
    table.publish([event], (error) => failures.push(error));
    leave();
    table.publish([event], (error) => failures.push(error));
    assert.deepEqual([seen, failures], [[1], [failure, failure]]);
  });
});
