import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { systemClock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { bytesOf, pathIn } from './names.ts';
import type { TarHeader } from './tar-reader.ts';

/** What Node has no call for: device nodes, pipes, and extended attributes of what is there. */
export type SpecialEntry = Omit<TarHeader, 'sizeBytes'>;

/** Files with attributes are written again, whole. */
const patienceMs = 300_000;
const stderrMax = 4_096;

/**
 * Makes the entries below `target`, as one tar that the system's own tar unpacks. All their names were found to lead to
 * no link, and nobody else writes there. Returns why something could not be made when the machine does not let us;
 * throws when it is something else, such as a disk that is full.
 */
export async function makeSpecialEntries(
  target: string,
  entries: readonly SpecialEntry[],
  { isExact }: { isExact: boolean },
): Promise<string | undefined> {
  const include = isExact ? '*' : 'user.*';
  const own = isExact ? ['--same-owner', '--numeric-owner'] : ['--no-same-owner'];
  const args = ['--extract', '--file=-', `--directory=${target}`, '--overwrite', '--same-permissions', ...own];
  const quiet = '--warning=no-timestamp';
  const child = spawn('tar', [...args, quiet, '--xattrs', `--xattrs-include=${include}`], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < stderrMax) said += chunk.toString('utf8');
  });
  child.stdin.on('error', () => undefined); // It has ended: its exit says why.
  const ended = new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(messageOf(error)));
    child.on('close', (code, signal) => resolve(code ?? `ended by ${signal}`));
  });
  const cancel = systemClock.after(patienceMs, () => child.kill('SIGKILL'));
  try {
    // Links come after what they lead to.
    const inOrder = [...entries].sort((a, b) => Number(a.type === 'link') - Number(b.type === 'link'));
    for (const entry of inOrder) await writeEntry(child.stdin, target, entry);
    child.stdin.end(Buffer.alloc(1024));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    await ended;
    cancel();
  }
  const exit = await ended;
  const reason = said.trim().split('\n')[0]?.slice(0, 300) ?? '';
  if (typeof exit === 'string') return `special files and attributes are left out: tar cannot be run: ${exit}`;
  if (exit === 0) return reason === '' ? undefined : `not all special files and attributes could be made: ${reason}`;
  if (/not permitted|not supported|denied|unrecognized option|Invalid argument/i.test(said)) {
    return `not all special files and attributes could be made: ${reason}`;
  }
  throw new Error(`special files could not be made: tar ended with ${exit}: ${reason}`);
}

const letters = {
  ...{ file: '0', link: '1', symlink: '2', 'character-device': '3', 'block-device': '4' },
  ...{ directory: '5', fifo: '6' },
} as const;

const pieceBytes = 256 * 1024;

async function writeEntry(tar: Writable, target: string, entry: SpecialEntry): Promise<void> {
  const fd = entry.type === 'file' ? openSync(pathIn(target, entry.name), 'r') : undefined;
  try {
    const sizeBytes = fd === undefined ? 0 : fstatSync(fd).size;
    await write(tar, headOf(entry, sizeBytes));
    for (let left = sizeBytes; fd !== undefined && left > 0; ) {
      const piece = Buffer.alloc(Math.min(left, pieceBytes));
      const read = readSync(fd, piece);
      if (read === 0) throw new Error(`${entry.name} became shorter while it was read`);
      left -= read;
      await write(tar, piece.subarray(0, read));
    }
    await write(tar, padding(sizeBytes));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

async function write(tar: Writable, bytes: Buffer): Promise<void> {
  // Once the reader is gone nothing drains: what its exit says counts.
  if (bytes.length === 0 || tar.destroyed || tar.write(bytes)) return;
  await Promise.race([once(tar, 'drain'), once(tar, 'close')]).catch(() => undefined /* the same */);
}

/** A pax header with all that it can say, and the plain one that it is for. */
function headOf(entry: SpecialEntry, sizeBytes: number): Buffer {
  const { name, linkName, mode, uid, gid, mtime, major, minor, xattrs, type } = entry;
  const records: Buffer[] = [
    record('path', name === '' ? Buffer.from('.') : bytesOf(name)),
    record('uid', Buffer.from(String(uid))),
    record('gid', Buffer.from(String(gid))),
    record('size', Buffer.from(String(sizeBytes))),
  ];
  if (mtime !== undefined) records.push(record('mtime', Buffer.from(String(mtime))));
  if (linkName !== '') records.push(record('linkpath', bytesOf(linkName)));
  for (const [key, value] of xattrs) records.push(record(`SCHILY.xattr.${key}`, value));
  const pax = Buffer.concat(records);
  const numbers = { mode, major, minor };
  return Buffer.concat([
    block('x', pax.length, { mode: 0o644, major: 0, minor: 0 }),
    pax,
    padding(pax.length),
    block(letters[type], Math.min(sizeBytes, 0o77777777777), numbers),
  ]);
}

/** `LENGTH KEY=VALUE\n`, whose length counts itself. */
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.byteLength(key) + value.length + 3;
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length++;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function block(type: string, sizeBytes: number, numbers: { mode: number; major: number; minor: number }): Buffer {
  const head = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    head.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  head.write('entry', 0, 'latin1');
  octal(numbers.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(0, 136, 12);
  head.write(type, 156, 'latin1');
  head.write('ustar\x0000', 257, 'latin1');
  octal(numbers.major, 329, 8);
  octal(numbers.minor, 337, 8);
  head.fill(0x20, 148, 156);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

const padding = (sizeBytes: number) => Buffer.alloc((512 - (sizeBytes % 512)) % 512);
