import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder, replaceFile, replaceFileAsync } from './durable.ts';

// That they survive power loss is tested in test/power-loss.

function inFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-durable-'));
  try {
    run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('a folder is made with those above it, and made again without a word', () => {
  inFolder((folder) => {
    makeFolder(join(folder, 'a', 'b', 'c'), { mode: 0o700 });
    makeFolder(join(folder, 'a', 'b', 'c'));
    assert.equal(statSync(join(folder, 'a', 'b', 'c')).mode & 0o777, 0o700);
  });
});

test('a folder is made in one that may be written, but not read', () => {
  inFolder((folder) => {
    chmodSync(folder, 0o300);
    makeFolder(join(folder, 'a'));
    chmodSync(folder, 0o700);
    assert.deepEqual(readdirSync(folder), ['a']);
  });
});

test('a folder that cannot be made is an error, as Node has it', () => {
  assert.throws(() => makeFolder('/proc/none/x'), { code: 'ENOENT' });
});

test('a file is replaced as a whole, with the rights that were asked for', () => {
  inFolder((folder) => {
    const path = join(folder, 'f');
    replaceFile(path, 'old and long');
    replaceFile(path, 'newer', { mustLast: false });
    replaceFile(path, 'new', { mode: 0o600 });
    assert.equal(readFileSync(path, 'utf8'), 'new');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder), ['f']);
  });
});

test('a file that cannot be replaced stays, and nothing is left beside it', () => {
  inFolder((folder) => {
    makeFolder(join(folder, 'f'));
    assert.throws(() => replaceFile(join(folder, 'f'), 'x'), { code: 'EISDIR' });
    assert.deepEqual(readdirSync(folder), ['f']);
  });
});

test('several may replace a file at once: one of them wins, and nothing else is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kittiwake-durable-'));
  try {
    const path = join(folder, 'f');
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(1000));
    await Promise.all(texts.map((text, i) => replaceFileAsync(path, text, { mode: 0o600, mustLast: i % 2 === 0 })));
    assert.ok(texts.includes(readFileSync(path, 'utf8')));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await assert.rejects(replaceFileAsync(folder, 'x'), { code: /EISDIR|ENOTEMPTY|EEXIST|EBUSY/ });
    assert.deepEqual(readdirSync(folder), ['f']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
