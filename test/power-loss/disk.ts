import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../src/lib/errors.ts';
import type { Random } from '../kit/random.ts';
import type { Entry, FileType } from './journal.ts';

/**
 * What is on the disk for sure, and what may be: a model of every file system that POSIX allows and people use.
 *
 *     journal ──apply──▶ safe: contents and names ──────┐
 *                        open: changes not synced yet ──┴──crash(random)──▶ one of the disks that power loss may leave
 *
 * - A write to a file is safe once a sync of the file that began after it has ended. Until then each sector has its own
 *   luck: any of its versions since the last sync may be there, whatever became of its neighbours. The size likewise;
 *   what was never written reads as zeros. A cut is there or not; what it cut is gone for good if it is.
 * - A name (made, linked, moved or removed) is safe once a sync of its folder that began after it has ended. A sync of
 *   the file alone does not keep its name, though ext4 does that. Until then, either each change of a name has its own
 *   luck, as long as those of one name stay in order, or all were journalled in order and some first ones are there
 *   (ext4, XFS). A move is there as a whole or not at all.
 * - Rights, times and extended attributes are left out.
 */
export class Disk {
  readonly #root: number;
  #files = new Map<number, File>();
  /** Names that are safe. */
  #names: Names;
  #open: { at: number; change: NameChange }[] = [];
  #syncs = new Map<bigint, number>();
  /** By the system's number, which is used again when a file is gone, what stands for a file here for good. */
  #identities = new Map<number, number>();
  #now = 0;

  /** Begins with what is in `folder`, all of it safe. */
  constructor(folder: string) {
    this.#names = new Map();
    this.#root = this.#load(folder);
  }

  apply(entry: Entry): void {
    const at = this.#now++;
    switch (entry.kind) {
      case 'write':
      case 'size':
        this.#file(this.#identity(entry.inode)).open.push({ ...entry, at });
        break;
      case 'enter': {
        if (entry.type !== 'hard link') this.#add(entry.inode, entry.type, entry.target);
        const names = { folder: this.#identity(entry.folder), name: entry.name };
        this.#open.push({ at, change: { kind: 'enter', ...names, file: this.#identity(entry.inode) } });
        break;
      }
      case 'leave':
        this.#open.push({ at, change: { ...entry, folder: this.#identity(entry.folder) } });
        break;
      case 'move': {
        const folders = { folder: this.#identity(entry.folder), toFolder: this.#identity(entry.toFolder) };
        this.#open.push({ at, change: { ...entry, ...folders } });
        break;
      }
      case 'sync-begin':
        this.#syncs.set(entry.token, at);
        break;
      case 'sync-end': {
        const began = this.#syncs.get(entry.token);
        assert(began !== undefined, 'a sync began before it ended');
        this.#sync(entry.inode === 0 ? everything : this.#identity(entry.inode), began);
        this.#syncs.delete(entry.token);
      }
    }
  }

  /**
   * Writes one of the disks that a power loss now may leave into `folder`, which is empty. The one that has nothing but
   * what is safe is among them often: it is the hardest on promises.
   */
  crash(folder: string, random: Random): void {
    const names = copyOf(this.#names);
    const isBare = random.next() < 0.3;
    if (!isBare) for (const change of survivors(this.#open, random)) applyTo(names, change);
    this.#write(folder, names, (file) => (isBare ? file.safe : crashed(file, random)));
  }

  /** Writes the disk as the system shows it now, without a crash. */
  snapshot(folder: string): void {
    const names = copyOf(this.#names);
    for (const { change } of this.#open) applyTo(names, change);
    this.#write(folder, names, (file) => file.open.reduce(changed, Buffer.from(file.safe)));
  }

  #load(folder: string): number {
    const self = this.#add(lstatSync(folder).ino, 'folder', '');
    for (const item of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, item.name);
      const { ino } = lstatSync(path);
      const known = this.#identities.get(ino);
      let id: number;
      if (item.isDirectory()) id = this.#load(path);
      else if (item.isSymbolicLink()) id = this.#add(ino, 'link', readlinkSync(path));
      else {
        id = known ?? this.#add(ino, 'file', '');
        this.#file(id).safe = readFileSync(path);
      }
      this.#names.get(self)?.set(item.name, id);
    }
    return self;
  }

  #identity(inode: number): number {
    const id = this.#identities.get(inode);
    assert(id !== undefined, `file ${inode} was made before it was used`);
    return id;
  }

  #file(id: number): File {
    const file = this.#files.get(id);
    assert(file, `file ${id} is known`);
    return file;
  }

  #add(inode: number, type: File['type'], target: string): number {
    const id = this.#files.size + 1;
    this.#identities.set(inode, id);
    this.#files.set(id, { type, target, safe: Buffer.alloc(0), open: [] });
    if (type === 'folder') this.#names.set(id, new Map());
    return id;
  }

  #sync(id: number, began: number): void {
    const files = id === everything ? this.#files.values() : [this.#file(id)];
    for (const file of files) {
      const first = file.open.findIndex(({ at }) => at > began);
      const synced = file.open.splice(0, first < 0 ? file.open.length : first);
      file.safe = synced.reduce(changed, file.safe);
    }
    if (id !== everything && !this.#names.has(id)) return;
    // With what came before under the same names: a file system keeps the order of one name.
    const safe = new Set<string>();
    const synced: NameChange[] = [];
    const isSynced = ({ at, change }: { at: number; change: NameChange }) => {
      const keys = keysOf(change);
      const isAsked = id === everything || change.folder === id || (change.kind === 'move' && change.toFolder === id);
      if (!(at < began && isAsked) && !keys.some((key) => safe.has(key))) return false;
      for (const key of keys) safe.add(key);
      synced.unshift(change);
      return true;
    };
    this.#open = this.#open
      .toReversed()
      .filter((open) => !isSynced(open))
      .toReversed();
    for (const change of synced) applyTo(this.#names, change);
  }

  #write(root: string, names: Names, contentOf: (file: File) => Buffer): void {
    const written = new Map<number, string>();
    const visit = (id: number, folder: string) => {
      for (const [name, inside] of names.get(id) ?? []) {
        const path = join(folder, name);
        const file = this.#file(inside);
        const before = written.get(inside);
        if (before !== undefined) {
          if (file.type !== 'folder') linkSync(before, path);
          continue; // A folder has one name: the other is of a move that was lost in half.
        }
        written.set(inside, path);
        if (file.type === 'link') symlinkSync(file.target, path);
        else if (file.type === 'file') writeFileSync(path, contentOf(file), { mode: 0o700 });
        else {
          mkdirSync(path);
          visit(inside, path);
        }
      }
    };
    visit(this.#root, root);
  }
}

type Change = { at: number } & Extract<Entry, { kind: 'write' | 'size' }>;
type NameChange =
  | { kind: 'enter'; folder: number; name: string; file: number }
  | { kind: 'leave'; folder: number; name: string }
  | { kind: 'move'; folder: number; name: string; toFolder: number; toName: string };
/** By folder: what is in it. */
type Names = Map<number, Map<string, number>>;

const everything = 0;

interface File {
  type: Exclude<FileType, 'hard link'>;
  /** Where a symbolic link leads. */
  target: string;
  safe: Buffer;
  /** In order. */
  open: Change[];
}

function copyOf(names: Names): Names {
  return new Map([...names].map(([folder, inside]) => [folder, new Map(inside)]));
}

function applyTo(names: Names, change: NameChange): void {
  const inside = names.get(change.folder);
  if (!inside) return; // The folder's own name was lost, or it is gone.
  if (change.kind === 'enter') inside.set(change.name, change.file);
  else if (change.kind === 'leave') inside.delete(change.name);
  else {
    const file = inside.get(change.name);
    inside.delete(change.name);
    if (file !== undefined) names.get(change.toFolder)?.set(change.toName, file);
  }
}

function keysOf(change: NameChange): string[] {
  const key = `${change.folder}/${change.name}`;
  return change.kind === 'move' ? [key, `${change.toFolder}/${change.toName}`] : [key];
}

function survivors(open: readonly { change: NameChange }[], random: Random): NameChange[] {
  const changes = open.map(({ change }) => change);
  if (random.next() < 0.4) return changes.slice(0, random.below(changes.length + 1));
  const share = random.pick([0, 0.2, 0.5, 0.8, 0.95]);
  const lost = new Set<string>();
  return changes.filter((change) => {
    const keys = keysOf(change);
    if (random.next() < share && !keys.some((key) => lost.has(key))) return true;
    for (const key of keys) lost.add(key);
    return false;
  });
}

function changed(content: Buffer, change: Change): Buffer {
  if (change.kind === 'size') return resized(content, change.size);
  const end = change.offset + change.data.length;
  // In place: nobody else has the buffer of a file (`safe` is only ever replaced by what comes of it).
  const whole = end > content.length ? resized(content, end) : content;
  change.data.copy(whole, change.offset);
  return whole;
}

/** With zeros at the end when it grows. Room is kept behind the buffer, so a log is not copied each time. */
function resized(content: Buffer, size: number): Buffer {
  if (size <= content.length) {
    const cut = content.subarray(0, size);
    content.fill(0, size);
    return cut;
  }
  const room = content.buffer.byteLength - content.byteOffset;
  if (room >= size && owned.has(content.buffer)) return Buffer.from(content.buffer, content.byteOffset, size);
  const larger = new ArrayBuffer(Math.max(4096, 2 * size));
  owned.add(larger);
  const copy = Buffer.from(larger, 0, size);
  content.copy(copy);
  return copy;
}
const owned = new WeakSet<ArrayBufferLike>();

/** One of the contents that the file may have after a power loss. */
function crashed(file: File, random: Random): Buffer {
  const { open } = file;
  let content: Buffer = Buffer.from(file.safe);
  const luck = random.pick(['none', 'all', 'some', 'some', 'some'] as const);
  if (open.length === 0 || luck === 'none') return content;
  if (luck === 'all') return open.reduce(changed, content);
  const sectorBytes = random.pick([512, 4096]);
  const share = random.pick([0.1, 0.5, 0.9, 0.99]);
  // Sizes, and with them cuts, are there up to one of the changes.
  const sized = random.below(open.length + 1);
  // A sector that lost one write has none of the later ones.
  const stale = new Set<number>();
  let size = content.length;
  for (const [i, change] of open.entries()) {
    if (change.kind === 'size') {
      if (i >= sized) continue;
      size = change.size;
      if (content.length > size) content = resized(content, size);
    } else {
      const { offset, data } = change;
      const end = offset + data.length;
      if (i < sized) size = Math.max(size, end);
      for (let from = offset; from < end; ) {
        const sector = Math.floor(from / sectorBytes);
        const until = Math.min(end, (sector + 1) * sectorBytes);
        if (!stale.has(sector) && random.next() < share) {
          content = changed(content, { ...change, offset: from, data: data.subarray(from - offset, until - offset) });
        } else stale.add(sector);
        from = until;
      }
    }
  }
  return resized(content, size);
}
