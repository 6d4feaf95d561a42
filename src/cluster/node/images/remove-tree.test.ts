import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { removeTree } from './remove-tree.ts';

describe('removing a tree', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-remove-'));
    mkdirSync(join(dir, 'tree/a/b'), { recursive: true });
    writeFileSync(join(dir, 'kept'), '');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function remove(): void {
    removeTree(join(dir, 'tree'));
    assert.equal(existsSync(join(dir, 'tree')), false);
    assert.equal(existsSync(join(dir, 'kept')), true);
  }

  test('links are removed, not followed', () => {
    symlinkSync(dir, join(dir, 'tree/a/up'));
    symlinkSync('/no/such', join(dir, 'tree/a/dangling'));
    remove();
    symlinkSync(dir, join(dir, 'tree'));
    remove();
  });

  test('folders without rights are no obstacle', () => {
    writeFileSync(join(dir, 'tree/a/b/file'), '');
    for (const folder of ['tree/a/b', 'tree/a', 'tree']) chmodSync(join(dir, folder), 0);
    remove();
  });

  test('a tree is removed however deep it is, beyond what a path can name', () => {
    const script = `for (let i = 0; i < 2100; i++) { require('fs').mkdirSync('a'); process.chdir('a'); }
      require('fs').writeFileSync('bottom', '');`;
    const made = spawnSync(process.execPath, ['-e', script], { cwd: join(dir, 'tree/a/b') });
    assert.equal(made.status, 0, made.stderr.toString());
    remove();
  });

  test('names need not be text, and may be as long as they can', () => {
    const odd = Buffer.concat([Buffer.from(join(dir, 'tree/')), Buffer.from([0xff, 0xfe])]);
    mkdirSync(odd);
    writeFileSync(Buffer.concat([odd, Buffer.from('/file')]), '');
    const script = `for (let i = 0; i < 40; i++) { require('fs').mkdirSync('n'.repeat(255)); process.chdir('n'.repeat(255)); }`;
    assert.equal(spawnSync(process.execPath, ['-e', script], { cwd: join(dir, 'tree/a/b') }).status, 0);
    remove();
  });

  test('what is not there is removed', () => removeTree(join(dir, 'none')));
});
