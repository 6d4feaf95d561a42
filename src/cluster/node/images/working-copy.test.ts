import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { makeCopy, restoreCopy } from './working-copy.ts';

describe('a working copy', () => {
  let dir: string;
  let root: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-copy-'));
    const layer = join(dir, 'layer');
    mkdirSync(join(layer, 'app/lib'), { recursive: true });
    writeFileSync(join(layer, 'app/main.mjs'), 'main');
    writeFileSync(join(layer, 'app/lib/a.mjs'), 'a');
    makeCopy({ layers: [{ root: layer, whiteouts: [], opaques: [] }], cache: undefined, target: join(dir, 'made') });
    renameSync(join(dir, 'made'), join(dir, 'used')); // As it happens on the way to a pod.
    root = join(dir, 'used/root');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const restore = () => restoreCopy(join(dir, 'used'), undefined);

  test('what a program added is removed: then its copy is as good as new', () => {
    writeFileSync(join(root, 'app/data.json'), '{}');
    mkdirSync(join(root, 'app/lib/.cache/deep'), { recursive: true });
    mkdirSync(join(dir, 'used/tmp'));
    for (const name of ['home', 'tmp', 'cache']) writeFileSync(join(dir, 'used', name, 'left'), 'x');
    assert.equal(restore(), true);
    const files = readdirSync(join(dir, 'used'), { recursive: true }).map(String).sort();
    const kept = ['cache', 'home', 'index', 'root', 'root/app', 'root/app/lib', 'root/app/lib/a.mjs'];
    assert.deepEqual(files, [...kept, 'root/app/main.mjs']);
  });

  for (const [what, change] of Object.entries<() => void>({
    'a file that was written to': () => appendFileSync(join(root, 'app/main.mjs'), 'x'),
    'a file whose mode was changed': () => chmodSync(join(root, 'app/lib/a.mjs'), 0o600),
    'a file that was written to and given its old time': () => {
      writeFileSync(join(root, 'app/main.mjs'), 'evil');
      utimesSync(join(root, 'app/main.mjs'), 0, 0);
    },
    'a file that was removed': () => rmSync(join(root, 'app/main.mjs')),
    'a file that was replaced by another': () => {
      writeFileSync(join(root, 'app/other'), 'main');
      renameSync(join(root, 'app/other'), join(root, 'app/main.mjs'));
    },
    'a file whose name is no text': () => {
      writeFileSync(Buffer.concat([Buffer.from(join(root, 'app/')), Buffer.from([0xff])]), '');
    },
    'a folder that became a file': () => {
      rmSync(join(root, 'app/lib'), { recursive: true });
      writeFileSync(join(root, 'app/lib'), '');
    },
    'an index that is gone': () => rmSync(join(dir, 'used/index')),
  })) {
    test(`a copy with ${what} is not used again`, () => {
      change();
      assert.equal(restore(), false);
      assert.ok(existsSync(root));
    });
  }
});
