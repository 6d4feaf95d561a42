/** The model of the disk itself: what may be left, and what must be. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Random } from '../kit/random.ts';
import { Disk } from './disk.ts';
import type { Entry } from './journal.ts';

const made = (name: string, inode: number): Entry => ({
  kind: 'enter',
  folder: root,
  name,
  inode,
  type: 'file',
  target: '',
});
const wrote = (inode: number, offset: number, text: string): Entry => ({
  kind: 'write',
  inode,
  offset,
  data: Buffer.from(text),
});
const moved = (name: string, toName: string): Entry => ({ kind: 'move', folder: root, name, toFolder: root, toName });
const gone = (name: string): Entry => ({ kind: 'leave', folder: root, name });
const cut = (inode: number, size: number): Entry => ({ kind: 'size', inode, size });
const synced = (inode: number): Entry[] => [
  { kind: 'sync-begin', inode, token: 1n },
  { kind: 'sync-end', inode, token: 1n },
];
let root = 0;

/** The different disks that are left of many power losses after the entries: each file's name and content. */
function disksAfter(entries: () => Entry[], before: Record<string, string> = {}): Set<string> {
  const work = mkdtempSync(join(tmpdir(), 'kittiwake-disk-'));
  try {
    const folder = join(work, 'disk');
    mkdirSync(folder);
    for (const [name, content] of Object.entries(before)) writeFileSync(join(folder, name), content);
    root = statSync(folder).ino;
    const disk = new Disk(folder);
    for (const entry of entries()) disk.apply(entry);
    const disks = new Set<string>();
    for (let seed = 0; seed < 300; seed++) {
      const left = join(work, `${seed}`);
      mkdirSync(left);
      disk.crash(left, new Random(seed));
      const files = readdirSync(left).sort();
      disks.add(files.map((name) => `${name}=${readFileSync(join(left, name), 'latin1')}`).join(' '));
    }
    return disks;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
const set = (...disks: string[]) => new Set(disks);

test('a new file is there for sure when it and its folder were synced', () => {
  const entries = () => [made('f', 100), wrote(100, 0, 'hello'), ...synced(100), ...synced(root)];
  assert.deepEqual(disksAfter(entries), set('f=hello'));
});

test('a new file may be missing when only it was synced, and empty or zeros when only its folder was', () => {
  const onlyFile = () => [made('f', 100), wrote(100, 0, 'hello'), ...synced(100)];
  assert.deepEqual(disksAfter(onlyFile), set('', 'f=hello'));
  const onlyFolder = () => [made('f', 100), wrote(100, 0, 'hello'), ...synced(root)];
  assert.deepEqual(disksAfter(onlyFolder), set('f=', 'f=hello', 'f=\0\0\0\0\0'));
});

test('a file that is replaced by a move without a sync may be the old, the new, or one without content', () => {
  const entries = () => [made('new', 100), wrote(100, 0, 'b'), moved('new', 'f')];
  const disks = disksAfter(entries, { f: 'a' });
  for (const possible of ['f=a', 'f=b', 'f=', 'f=a new=b']) assert.ok(disks.has(possible), possible);
  assert.ok([...disks].every((disk) => disk.includes('f=')));
});

test('a synced file that is moved over another is the old or the new, and after a sync of the folder the new', () => {
  const entries = () => [made('new', 100), wrote(100, 0, 'b'), ...synced(100), moved('new', 'f')];
  assert.deepEqual(disksAfter(entries, { f: 'a' }), set('f=a', 'f=a new=b', 'f=b'));
  assert.deepEqual(
    disksAfter(() => [...entries(), ...synced(root)], { f: 'a' }),
    set('f=b'),
  );
});

test('a file that was removed may come back until its folder is synced', () => {
  assert.deepEqual(
    disksAfter(() => [gone('f')], { f: 'a' }),
    set('', 'f=a'),
  );
  assert.deepEqual(
    disksAfter(() => [gone('f'), ...synced(root)], { f: 'a' }),
    set(''),
  );
});

test('of two sectors that were written, either may be there without the other', () => {
  const [old, fresh] = ['a'.repeat(512), 'b'.repeat(512)];
  const inode = 100;
  const entries = () => [
    made('f', inode),
    wrote(inode, 0, old + old),
    ...synced(inode),
    ...synced(root),
    wrote(inode, 0, fresh + fresh),
  ];
  assert.deepEqual(
    disksAfter(entries),
    set(`f=${old}${old}`, `f=${fresh}${old}`, `f=${old}${fresh}`, `f=${fresh}${fresh}`),
  );
});

test('a write that began after a sync began is not safe when that sync ends', () => {
  const [begin, end] = synced(100) as [Entry, Entry];
  const entries = () => [made('f', 100), ...synced(root), wrote(100, 0, 'a'), begin, wrote(100, 0, 'b'), end];
  assert.deepEqual(disksAfter(entries), set('f=a', 'f=b'));
});

test('a file that is cut and written anew shows the old, nothing, or the new', () => {
  const entries = () => [cut(100, 0), wrote(100, 0, 'new')];
  const before = () => [made('f', 100), wrote(100, 0, 'older'), ...synced(100), ...synced(root)];
  const disks = disksAfter(() => [...before(), ...entries()]);
  for (const possible of ['f=older', 'f=', 'f=new']) assert.ok(disks.has(possible), possible);
  assert.deepEqual(
    disksAfter(() => [...before(), ...entries(), ...synced(100)]),
    set('f=new'),
  );
});

test('a number that the system uses again is another file', () => {
  const entries = () => [made('f', 100), wrote(100, 0, 'a'), ...synced(100), ...synced(root)];
  const again = () => [...entries(), gone('f'), made('g', 100), wrote(100, 0, 'b'), ...synced(100)];
  assert.deepEqual(disksAfter(again), set('', 'f=a', 'f=a g=b', 'g=b'));
});

test('the disk that a journal begins with is there', () => {
  assert.deepEqual(
    disksAfter(() => [], { f: 'a' }),
    set('f=a'),
  );
});
