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

  test('names need not be text, and together be longer than what a path can name', () => {
    const odd = Buffer.concat([Buffer.from(join(dir, 'tree/')), Buffer.from([0xff, 0xfe])]);
    mkdirSync(odd);
    writeFileSync(Buffer.concat([odd, Buffer.from('/file')]), '');
    const deeper = `require('fs').mkdirSync(name); process.chdir(name);`;
    const script = `const name = 'n'.repeat(255); for (let i = 0; i < 40; i++) { ${deeper} }`;
    assert.equal(spawnSync(process.execPath, ['-e', script], { cwd: join(dir, 'tree/a/b') }).status, 0);
    remove();
  });

  test('what is not there is removed', () => removeTree(join(dir, 'none')));
});
