import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { NewEvent } from '../event-log.ts';
import { Progress } from './progress.ts';
import { rowOf, SqliteFile, settle } from './sqlite-file.ts';

const event = (id: string, data?: Buffer): NewEvent => ({
  event: { attributes: { specversion: '1.0', id, source: '/s', type: 't' }, ...(data && { data }) },
  headers: ['traceparent', 'x'],
});
const rows = (...events: NewEvent[]) => events.map(rowOf);

describe('the file of a log', () => {
  let dir = '';
  let path = '';
  let opened: SqliteFile[] = [];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-log-file-'));
    path = join(dir, 'log.db');
  });

  afterEach(() => {
    for (const file of opened) file.close();
    opened = [];
    rmSync(dir, { recursive: true });
  });

  function open(at = path): SqliteFile {
    const file = new SqliteFile(at);
    opened.push(file);
    return file;
  }

  /** What this process has open in the folder of the log; nothing is known where there is no /proc. */
  function openFiles(): number {
    return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
  }

  test('an event counts as what is written of it, and 64 bytes more', () => {
    const head = '[{"specversion":"1.0","id":"1","source":"/s","type":"t"},["traceparent","x"]]';
    assert.equal(rowOf(event('1')).sizeBytes, head.length + 64);
    assert.equal(rowOf(event('1', Buffer.alloc(100))).sizeBytes, head.length + 100 + 64);
  });

  test('what it holds is told at its opening', () => {
    const file = open();
    assert.deepEqual(file.contents(), { extent: { first: 1, end: 1, bytes: 0 }, cursors: [], owner: undefined });
    const written = rows(event('1'), event('2'), event('3'));
    file.append(1, 7, written);
    const progress = Progress.parse(2, '4-6');
    file.tidy([{ consumer: 'c', owner: 'o', progress }], [], 2);
    const [, second, third] = written.map(({ sizeBytes }) => sizeBytes) as [number, number, number];
    assert.deepEqual(file.contents().extent, { first: 2, end: 4, bytes: second + third });
    assert.deepEqual(
      file.contents().cursors.map(({ consumer, progress: { position, ranges } }) => [consumer, position, ranges]),
      [['c', 2, '4-6']],
    );
    file.tidy([], ['c'], 4);
    assert.deepEqual(file.contents(), { extent: { first: 4, end: 4, bytes: 0 }, cursors: [], owner: undefined });
  });

  test('events come back as they were written, with their data or without', () => {
    const file = open();
    const written = [event('1', Buffer.from('data')), event('2', Buffer.alloc(0)), event('3')];
    const stored = file.append(1, 7, rows(...written));
    assert.deepEqual(
      stored.map(({ offset, arrivedAt }) => [offset, arrivedAt]),
      [
        [1, 7],
        [2, 7],
        [3, 7],
      ],
    );
    assert.deepEqual(file.read(1, 4, 10, 1e6), stored);
    assert.deepEqual(
      stored.map(({ event: { data } }) => data?.toString()),
      ['data', '', undefined],
    );
  });

  test('reading ends before the end, at the limit, or with the event that fills the bytes', () => {
    const file = open();
    const written = rows(event('1'), event('2'), event('3'), event('4'));
    const { sizeBytes } = written[0] as { sizeBytes: number };
    file.append(1, 7, written);
    for (const [from, end, limit, bytesMax, expected] of [
      [2, 4, 10, 1e6, [2, 3]],
      [1, 5, 3, 1e6, [1, 2, 3]],
      [1, 5, 10, 2 * sizeBytes, [1, 2]],
      [1, 5, 10, 2 * sizeBytes + 1, [1, 2, 3]],
    ] as const) {
      assert.deepEqual(
        file.read(from, end, limit, bytesMax).map(({ offset }) => offset),
        expected,
      );
    }
  });

  test('the first event since a time is found, or the end', () => {
    const file = open();
    file.append(1, 10, rows(event('1')));
    file.append(2, 20, rows(event('2')));
    assert.deepEqual(
      [10, 11, 20, 21].map((time) => file.firstSince(time, 3)),
      [1, 2, 2, 3],
    );
  });

  test('an append that fails leaves nothing behind, and the next one goes well', () => {
    const file = open();
    file.append(2, 7, rows(event('there')));
    assert.throws(() => file.append(1, 7, rows(event('new'), event('there already'))), { code: 'EVENT_LOG_FAILED' });
    file.append(3, 7, rows(event('next')));
    assert.deepEqual(
      file.read(1, 4, 10, 1e6).map(({ event: { attributes } }) => attributes.id),
      ['there', 'next'],
    );
  });

  test('what is written stays in the write-ahead log up to 32 MiB: the disk is not kept waiting meanwhile', () => {
    const file = open();
    const { size } = statSync(path);
    for (let i = 1; i <= 8; i++) file.append(i, 7, rows(event(String(i), Buffer.alloc(1024 * 1024))));
    assert.equal(statSync(path).size, size);
  });

  test('what recovery finds in the write-ahead log is in the file before anything is appended', () => {
    const file = open();
    file.append(1, 7, rows(event('1')));
    const copy = join(dir, 'copy.db');
    for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
    const recovered = open(copy);
    assert.equal(statSync(`${copy}-wal`).size, 0);
    assert.equal(recovered.contents().extent.end, 2);
  });

  test('a file with other tables is an error, and neither it nor its lock stays open', () => {
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE events (something)');
    db.close();
    const before = openFiles();
    for (let i = 0; i < 2; i++) assert.throws(() => new SqliteFile(path), { code: 'EVENT_LOG_FAILED' });
    assert.equal(openFiles(), before);
  });

  test('a file that is closed is not open any more, and says so', () => {
    const before = openFiles();
    const file = new SqliteFile(path);
    file.close();
    assert.equal(openFiles(), before);
    assert.throws(() => file.read(1, 2, 1, 1), { code: 'EVENT_LOG_FAILED' });
  });

  test('the folder is made where there is none', () => {
    open(join(dir, 'of', 'logs', 'log.db'));
  });

  test('of more than 16 MiB that are free, some are given back to the disk', () => {
    const file = open();
    const pages = () => {
      const copy = join(dir, 'copy.db');
      for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
      const db = new DatabaseSync(copy);
      const count = Number(db.prepare('PRAGMA page_count').get()?.page_count);
      db.close();
      return count;
    };
    file.append(1, 7, rows(event('1', Buffer.alloc(16 * 1024 * 1024 - 100_000))));
    file.tidy([], [], 2);
    const before = pages();
    file.shrink();
    assert.equal(pages(), before);
    file.append(2, 7, rows(event('2', Buffer.alloc(16 * 1024 * 1024 + 100_000))));
    file.tidy([], [], 3);
    const full = pages();
    file.shrink();
    assert.ok(full - pages() >= 1024);
  });
});

for (const [what, error, code] of [
  ['full', { errcode: 13 }, undefined],
  ['full, in an extended code', { errcode: 13 + 256 }, undefined],
  ['full, as the system says it', { code: 'ENOSPC' }, undefined],
  ['in use', { errcode: 5 }, 'EVENT_LOG_IN_USE'],
  ['in use, in an extended code', { errcode: 5 + 256 }, 'EVENT_LOG_IN_USE'],
  ['broken', { errcode: 10 }, 'EVENT_LOG_FAILED'],
  ['broken, as the system says it', { code: 'EIO' }, 'EVENT_LOG_FAILED'],
] as const) {
  test(`a log on a disk that is ${what} ${code === undefined ? 'is opened' : `is ${code}`}`, () => {
    const failing = {
      exec() {
        throw Object.assign(new Error(what), error);
      },
    };
    if (code === undefined) settle(failing, 'log.db');
    else assert.throws(() => settle(failing, 'log.db'), { code });
  });
}
