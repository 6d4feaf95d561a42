import { BuildFailure } from '../failure.ts';
import type { SourceWriter } from './writer.ts';

export interface GitBlob {
  path: string;
  /** As in a tree of git: `100644`, `100755`, `120000` for a link. */
  mode: string;
  hash: string;
}

/** More than a path can have. */
const linkBytesMax = 4096;
/** `HASH blob SIZE`. */
const headBytesMax = 200;

/** Writes what `git cat-file --batch` prints, in the order of what was asked: a head, the content, a newline. */
export class GitBlobs {
  readonly #wanted: readonly GitBlob[];
  readonly #writer: SourceWriter;
  #at = 0;
  #head = '';
  #open: { leftBytes: number; write(chunk: Buffer): void; end(): void } | undefined;

  constructor(wanted: readonly GitBlob[], writer: SourceWriter) {
    this.#wanted = wanted;
    this.#writer = writer;
  }

  read(output: Buffer): void {
    for (let rest = output; rest.length > 0; ) rest = this.#open ? this.#readContent(rest) : this.#readHead(rest);
  }

  /** Fails unless all came. */
  finish(): void {
    const next = this.#wanted[this.#at];
    if (next || this.#open) throw new Error(`git cat-file ended before ${next?.path ?? 'the last file'}`);
  }

  /** However it ended. */
  close(): void {
    this.#open?.end();
    this.#open = undefined;
  }

  #readHead(bytes: Buffer): Buffer {
    const end = bytes.indexOf(10);
    this.#head += bytes.toString('latin1', 0, end < 0 ? undefined : end);
    if (this.#head.length > headBytesMax) throw new Error(`git cat-file gave ${this.#head.slice(0, 60)}…`);
    if (end < 0) return bytes.subarray(bytes.length);
    // The newline behind the content before it.
    if (this.#head !== '') this.#begin(this.#head);
    this.#head = '';
    return bytes.subarray(end + 1);
  }

  #begin(head: string): void {
    const blob = this.#wanted[this.#at++];
    const [found, , size] = head.split(' ');
    if (!blob || found !== blob.hash || size === undefined) {
      throw new Error(`git cat-file gave ${found} for ${blob?.hash}`);
    }
    const leftBytes = Number(size);
    if (blob.mode === '120000') this.#open = { leftBytes, ...this.#link(blob.path, leftBytes) };
    else this.#open = { leftBytes, ...this.#writer.file(blob.path, leftBytes, blob.mode === '100755') };
    if (leftBytes === 0) this.#end();
  }

  #readContent(bytes: Buffer): Buffer {
    const open = this.#open;
    if (!open) return bytes;
    const own = bytes.subarray(0, open.leftBytes);
    open.write(own);
    open.leftBytes -= own.length;
    if (open.leftBytes === 0) this.#end();
    return bytes.subarray(own.length);
  }

  #end(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.end();
  }

  #link(path: string, sizeBytes: number) {
    if (sizeBytes > linkBytesMax) {
      throw new BuildFailure('SourceInvalid', `${path} is a symbolic link of ${sizeBytes} bytes: remove it`);
    }
    const chunks: Buffer[] = [];
    return {
      write: (chunk: Buffer) => void chunks.push(chunk), // Small, as was just asked.
      end: () => this.#writer.list.addSymlink(path, Buffer.concat(chunks).toString('utf8')),
    };
  }
}
