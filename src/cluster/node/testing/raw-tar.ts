/** An entry of a tar, down to what libraries refuse to write. */
export interface RawEntry {
  name: string | Buffer;
  /** Tar's own letter; `0`, a file, unless given. */
  type?: string;
  content?: string | Buffer;
  linkName?: string | Buffer;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  major?: number;
  minor?: number;
  xattrs?: Record<string, string | Buffer>;
  /** The name stands in an extended header, whatever it is. */
  isPax?: boolean;
}

/** A tar with these entries in this order, and its end. */
export function rawTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(rawEntry), Buffer.alloc(1024)]);
}

function rawEntry(entry: RawEntry): Buffer[] {
  const { uid = 0, gid = 0, xattrs = {}, isPax = false, type = '0' } = entry;
  const name = Buffer.from(entry.name as Buffer);
  const content = Buffer.from((entry.content ?? '') as Buffer);
  const records = Object.entries(xattrs).map(([key, value]) =>
    record(`SCHILY.xattr.${key}`, Buffer.from(value as Buffer)),
  );
  if (isPax || name.length > 100) records.push(record('path', name));
  if (uid > 0o7777777) records.push(record('uid', Buffer.from(String(uid))));
  if (gid > 0o7777777) records.push(record('gid', Buffer.from(String(gid))));
  const pax = Buffer.concat(records);
  const head = records.length === 0 ? [] : [rawHeader({ name: 'x', type: 'x' }, pax.length), pax, padding(pax.length)];
  return [...head, rawHeader({ ...entry, type }, content.length), content, padding(content.length)];
}

function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.byteLength(key) + value.length + 3;
  const length = rest + String(rest + 2).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function rawHeader(entry: RawEntry, sizeBytes: number): Buffer {
  const { mode = 0o644, uid = 0, gid = 0, mtime = 1_000_000_000, major = 0, minor = 0, linkName = '' } = entry;
  const head = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    head.write(`${(value > 8 ** (length - 1) - 1 ? 0 : value).toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  Buffer.from(entry.name as Buffer).copy(head, 0, 0, 100);
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(gid, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(mtime, 136, 12);
  head.write(entry.type ?? '0', 156, 'latin1');
  Buffer.from(linkName as Buffer).copy(head, 157, 0, 100);
  head.write('ustar\x0000', 257, 'latin1');
  octal(major, 329, 8);
  octal(minor, 337, 8);
  head.fill(0x20, 148, 156);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

const padding = (sizeBytes: number) => Buffer.alloc((512 - (sizeBytes % 512)) % 512);
