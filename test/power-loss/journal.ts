import { assert } from '../../src/lib/errors.ts';

/** One thing that happened, as recorder.c wrote it down; its index in the journal is its time. Inodes name files. */
export type Entry =
  | { kind: 'write'; inode: number; offset: number; data: Buffer }
  | { kind: 'size'; inode: number; size: number }
  | { kind: 'enter'; folder: number; name: string; inode: number; type: FileType; target: string }
  | { kind: 'leave'; folder: number; name: string }
  | { kind: 'move'; folder: number; name: string; toFolder: number; toName: string }
  /** Of inode 0: of the whole disk. What came before its beginning is safe once its end is there. */
  | { kind: 'sync-begin' | 'sync-end'; inode: number; token: bigint }
  | { kind: 'note'; text: string };

/** 'link' is symbolic; a 'hard link' is one more name of a file that was there before. */
export type FileType = 'file' | 'folder' | 'link' | 'hard link';

const headBytes = 32;
const fileTypes: Record<string, FileType> = { f: 'file', d: 'folder', l: 'link', h: 'hard link' };

/** A record that is cut short at the end was never made; anything that the recorder refused fails. */
export function parseJournal(bytes: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + headBytes <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const nameLength = bytes.readUInt16LE(at + 6);
    const [a, b, c] = [8, 16, 24].map((field) => bytes.readBigUInt64LE(at + field)) as [bigint, bigint, bigint];
    const end = at + headBytes + length;
    if (end > bytes.length) break;
    const name = bytes.toString('utf8', at + headBytes, at + headBytes + nameLength);
    const data = bytes.subarray(at + headBytes + nameLength, end);
    entries.push(entryOf(bytes.readUInt16LE(at + 4), a, b, c, name, data));
    at = end;
  }
  return entries;
}

function entryOf(kind: number, a: bigint, b: bigint, c: bigint, name: string, data: Buffer): Entry {
  const inode = Number(a);
  switch (kind) {
    case 1:
      return { kind: 'write', inode, offset: Number(b), data };
    case 2:
      return { kind: 'size', inode, size: Number(b) };
    case 3: {
      const type = fileTypes[String.fromCharCode(Number(c))];
      assert(type, `the type of ${name}`);
      return { kind: 'enter', folder: inode, name, inode: Number(b), type, target: data.toString('utf8') };
    }
    case 4:
      return { kind: 'leave', folder: inode, name };
    case 5:
      return { kind: 'move', folder: inode, name, toFolder: Number(b), toName: data.toString('utf8') };
    case 6:
      return { kind: 'sync-begin', inode, token: b };
    case 7:
      return { kind: 'sync-end', inode, token: b };
    case 8:
      return { kind: 'note', text: data.toString('utf8') };
  }
  throw new Error(`the recorder refused: ${name} on ${data.toString('utf8')}`);
}
