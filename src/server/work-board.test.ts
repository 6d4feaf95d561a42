import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { workName } from '../lib/quarantine.ts';
import { FileWorkBoard, readWorkBoard, slotCount } from './work-board.ts';

function withBoard(body: (board: FileWorkBoard, path: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-board-'));
  const path = join(dir, 'broker.work');
  const board = new FileWorkBoard(path);
  try {
    body(board, path);
    board.close();
    assert.throws(() => board.begin('closed', false), { code: 'EBADF' });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('the board tells what is under way, and what of it is suspect', () =>
  withBoard((board, path) => {
    board.begin('a', false);
    const suspect = board.begin('b', true);
    assert.deepEqual(readWorkBoard(path), { suspects: ['b'], others: ['a'] });
    board.end(suspect);
    assert.deepEqual(readWorkBoard(path), { suspects: [], others: ['a'] });
  }));

test('a place that was given back is used again', () =>
  withBoard((board, path) => {
    for (let i = 0; i < 10_000; i++) board.end(board.begin(`work ${i}`, false));
    assert.deepEqual(readWorkBoard(path).others, ['work 9999']);
  }));

test('names of any script and of the longest kind come back as they were', () =>
  withBoard((board, path) => {
    const names = ['äöü/日本語', workName('語'.repeat(1000)), ' trimmed', '!looks like a suspect', '-'];
    for (const name of names) board.begin(name, false);
    assert.deepEqual(readWorkBoard(path), { suspects: [], others: names });
  }));

test('names that end in spaces, or in half a character, are found under the name that their work has', () =>
  withBoard((board, path) => {
    const names = ['event a ', 'event b\u00a0\n', 'event \ud83d', `x${'💥'.repeat(1000)}`].map(workName);
    for (const name of names) board.begin(name, false);
    assert.deepEqual(readWorkBoard(path), { suspects: [], others: names });
  }));

test('more work than the board has places for is not recorded, and harms nothing', () =>
  withBoard((board, path) => {
    const slots = Array.from({ length: slotCount + 44 }, (_, i) => board.begin(`work ${i}`, false));
    assert.equal(slots.filter((slot) => slot === -1).length, 44);
    assert.equal(readWorkBoard(path).others.length, slotCount);
    for (const slot of slots) board.end(slot);
    assert.notEqual(board.begin('again', true), -1);
    assert.deepEqual(readWorkBoard(path).suspects, ['again']);
  }));

const full = '/dev/full';

test('work goes on when the disk is full, and is not recorded', { skip: !existsSync(full) }, () => {
  const board = new FileWorkBoard(full);
  for (let i = 0; i < 300; i++) {
    const slot = board.begin(`work ${i}`, i % 2 === 0);
    assert.equal(slot, -1);
    board.end(slot);
  }
  board.close();
});

test('no other user reads what is under way', () =>
  withBoard((_board, path) => assert.equal(statSync(path).mode & 0o777, 0o600)));

test('a board that is missing or garbage names nothing', () =>
  withBoard((_board, path) => {
    assert.deepEqual(readWorkBoard(`${path}.missing`), { suspects: [], others: [] });
    writeFileSync(path, 'garbage\n\0\0\0\n\n+\n!  \n');
    assert.deepEqual(readWorkBoard(path), { suspects: [], others: [] });
  }));

test('a folder that stands in its place is cleared away; one that it would stand in must be there', () => {
  const dir = mkdtempSync(join(tmpdir(), 'kittiwake-board-'));
  const path = join(dir, 'broker.work');
  mkdirSync(join(path, 'inner'), { recursive: true });
  const board = new FileWorkBoard(path);
  board.begin('a', false);
  assert.deepEqual(readWorkBoard(path).others, ['a']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.throws(() => new FileWorkBoard(join(dir, 'missing', 'broker.work')), { code: 'ENOENT', syscall: 'open' });
  board.close();
  rmSync(dir, { recursive: true });
});
