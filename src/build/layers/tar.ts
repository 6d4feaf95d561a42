import { type Chunks, chunksOf } from '../source/read-file.ts';

/**
 * One entry of an archive; `path` has no leading slash. Owner, group and times are always those of nobody, at no
 * time.
 */
export type TarEntry =
  | { type: 'file'; path: string; content: Buffer | ListedFile; isExecutable: boolean }
  | { type: 'symlink'; path: string; target: string }
  | { type: 'folder'; path: string; mode?: number };

/** A file on disk, which must have at most so many bytes by now. */
export interface ListedFile {
  file: string;
  sizeBytes: number;
}

const blockBytes = 512;
const typeFlag = { file: '0', symlink: '2', folder: '5' } as const;

/** The bytes of an archive, in pieces that are as large or small as they come. Equal entries, equal bytes. */
export function* tarOf(entries: Iterable<TarEntry>): Generator<Buffer, void> {
  for (const entry of entries) {
    if (entry.type !== 'file') yield headOf(entry, 0);
    else {
      const { sizeBytes, chunks, close } = contentOf(entry.content);
      try {
        yield headOf(entry, sizeBytes);
        yield* chunks;
        yield padding(sizeBytes);
      } finally {
        close();
      }
    }
  }
  yield Buffer.alloc(2 * blockBytes);
}

function contentOf(content: Buffer | ListedFile): Chunks {
  if (Buffer.isBuffer(content)) return { sizeBytes: content.length, chunks: [content], close() {} };
  return chunksOf(content.file, content.sizeBytes);
}

/** What stands before an entry's content: POSIX ustar, with a PAX header only where ustar cannot say it. */
function headOf(entry: TarEntry, size: number): Buffer {
  const path = entry.type === 'folder' ? `${entry.path}/` : entry.path;
  const target = entry.type === 'symlink' ? entry.target : '';
  const name = splitName(path);
  const records = [
    ...(name ? [] : [paxRecord('path', path)]),
    ...(fits(target, 100) ? [] : [paxRecord('linkpath', target)]),
  ];
  const parts: Buffer[] = [];
  if (records.length > 0) {
    const pax = Buffer.concat(records);
    parts.push(
      header({ name: 'PaxHeader', prefix: '', mode: 0o644, size: pax.length, flag: 'x', target: '' }),
      pax,
      padding(pax.length),
    );
  }
  const linkname = fits(target, 100) ? target : '';
  parts.push(
    header({
      ...(name ?? { name: 'long', prefix: '' }),
      mode: modeOf(entry),
      size,
      flag: typeFlag[entry.type],
      target: linkname,
    }),
  );
  return Buffer.concat(parts);
}

function modeOf(entry: TarEntry): number {
  if (entry.type === 'symlink') return 0o777;
  if (entry.type === 'folder') return entry.mode ?? 0o755;
  return entry.isExecutable ? 0o755 : 0o644;
}

interface Header {
  name: string;
  prefix: string;
  mode: number;
  size: number;
  flag: string;
  target: string;
}

/** pax Interchange Format, "ustar Interchange Format" (IEEE 1003.1, pax). */
function header({ name, prefix, mode, size, flag, target }: Header): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, 100, 'utf8');
  octal(block, mode, 100, 8);
  octal(block, 0, 108, 8); // uid
  octal(block, 0, 116, 8); // gid
  octal(block, size, 124, 12);
  octal(block, 0, 136, 12); // mtime
  block.write('        ', 148, 8, 'latin1'); // the checksum counts as blanks while it is computed
  block.write(flag, 156, 1, 'latin1');
  block.write(target, 157, 100, 'utf8');
  block.write('ustar\0' + '00', 257, 8, 'latin1');
  octal(block, 0, 329, 8);
  octal(block, 0, 337, 8);
  block.write(prefix, 345, 155, 'utf8');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

function octal(block: Buffer, value: number, offset: number, length: number): void {
  block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, length, 'latin1');
}

/** ustar's two fields for a name; undefined when it does not fit. Names beyond ASCII go to PAX, which says UTF-8. */
function splitName(path: string): { name: string; prefix: string } | undefined {
  if (fits(path, 100)) return { name: path, prefix: '' };
  if (!fits(path, 256)) return undefined;
  const slash = path.indexOf('/', Math.max(0, path.length - 101));
  if (slash <= 0 || slash > 155 || slash === path.length - 1) return undefined;
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) };
}

function fits(text: string, maxBytes: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII is what is asked
  return text.length <= maxBytes && /^[\x00-\x7f]*$/.test(text);
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const restBytes = Buffer.byteLength(` ${key}=${value}\n`);
  let totalBytes = restBytes + String(restBytes).length;
  if (String(totalBytes).length > String(restBytes).length) totalBytes = restBytes + String(totalBytes).length;
  return Buffer.from(`${totalBytes} ${key}=${value}\n`);
}

function padding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}
