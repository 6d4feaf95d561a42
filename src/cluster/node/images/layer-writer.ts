import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { containedPath, leadsOut, shown } from './contained-path.ts';
import { bytesOf, pathIn } from './names.ts';
import { removeTree } from './remove-tree.ts';
import { SafeFolders } from './safe-folders.ts';
import { makeSpecialEntries, type SpecialEntry } from './special-entries.ts';
import type { TarHeader, TarSink } from './tar-reader.ts';

export interface LayerWriterOptions {
  /** An empty folder. */
  target: string;
  /** Of the files' contents. */
  maxBytes: number;
  maxEntries: number;
  /** Owners, devices and all modes as the layer says: what only root may do. */
  isExact: boolean;
}

export interface Unpacked {
  whiteouts: string[];
  opaques: string[];
  /** Folders that no entry stands for. */
  implicit: string[];
  sizeBytes: number;
  /** Why the tree is not all that the layer says, when it is not. */
  lacks?: string;
}

/** Where an entry is, for the file system. */
export type PathIn = (name: string) => string | Buffer;

/** The year 4000: later times are left out, as some file systems know none. */
const timeMax = 64_060_588_800;

/**
 * Writes the entries of a layer (OCI image specification, "Image Layer Filesystem Changeset") into a folder of its own,
 * in the form that overlayfs stacks: what the layer removes is a character device 0:0, a folder that hides those below
 * has the attribute `trusted.overlay.opaque`, or `user.overlay.opaque` where we are not root. Nothing is written
 * outside of it: a name that climbs out, or that leads through a link, is refused. What Node cannot make comes last.
 * Blocks on the disk: call it in a worker.
 */
export class LayerWriter implements TarSink {
  readonly #options: LayerWriterOptions;
  readonly #at: PathIn;
  readonly #folders: SafeFolders;
  /** What folders are to be like, once nothing is written into them any more. */
  readonly #folderHeaders = new Map<string, TarHeader>();
  /** What Node cannot make. */
  readonly #specials = new Map<string, SpecialEntry>();
  /** The names of hard links. */
  readonly #links = new Set<string>();
  readonly #whiteouts = new Set<string>();
  readonly #opaques = new Set<string>();
  #entries = 0;
  #sizeBytes = 0;
  #file: { fd: number; header: TarHeader } | undefined;

  constructor(options: LayerWriterOptions) {
    this.#options = options;
    this.#at = (name) => pathIn(options.target, name);
    this.#folders = new SafeFolders(this.#at, options.maxEntries);
  }

  entry(header: TarHeader): void {
    const { maxEntries, maxBytes } = this.#options;
    if (++this.#entries > maxEntries) throw new Error(`the layer has more than ${maxEntries} entries`);
    if (header.type === 'file') this.#sizeBytes += header.sizeBytes;
    if (this.#sizeBytes > maxBytes) throw new Error(`the layer is larger than ${maxBytes} bytes when unpacked`);
    const name = containedPath(header.name);
    const cut = name.lastIndexOf('/');
    const folder = cut < 0 ? '' : name.slice(0, cut);
    const base = name.slice(cut + 1);
    if (base.startsWith('.wh.')) this.#mark(folder, base, header);
    else if (header.type === 'directory') this.#folder(name, folder, header);
    else if (name === '')
      throw new Error(`the entry ${shown(header.name)} is the layer's root, but no folder: refused`);
    else {
      this.#folders.ensure(folder, header.name);
      this.#write(name, header);
    }
  }

  content(piece: Buffer): void {
    if (!this.#file) return; // Of a mark, or of a folder: nobody wants it.
    for (let written = 0; written < piece.length; ) written += writeSync(this.#file.fd, piece, written);
  }

  end(): void {
    if (!this.#file) return;
    const { fd, header } = this.#file;
    const { isExact } = this.#options;
    if (isExact && (header.uid !== 0 || header.gid !== 0)) fchownSync(fd, header.uid, header.gid);
    // After the owner, whose change takes setuid bits away; always, as files are made with the process's umask.
    if (isExact) fchmodSync(fd, header.mode);
    const { mtime } = header;
    if (isTime(mtime)) futimesSync(fd, mtime, mtime);
    closeSync(fd);
    this.#file = undefined;
  }

  /** Nothing comes any more, all being well or not. */
  close(): void {
    if (this.#file) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  /** Makes what is left: special files, and the owners, modes and times of folders. */
  async finish(): Promise<Unpacked> {
    const { target, isExact } = this.#options;
    const opaqueOnDisk = new Set(this.#opaques);
    for (const name of this.#whiteouts) {
      const found = lstatSync(this.#at(name), { throwIfNoEntry: false });
      if (!found) this.#specials.set(name, { ...whiteout, name });
      else if (found.isDirectory()) opaqueOnDisk.add(name); // Removed below, and made anew here.
    }
    for (const name of opaqueOnDisk) {
      const { xattrs } = this.#specials.get(name) ?? {};
      const attribute = `${isExact ? 'trusted' : 'user'}.overlay.opaque`;
      const all = new Map([...(xattrs ?? []), [attribute, Buffer.from('y')]]);
      const mtime = lstatSync(this.#at(name)).mtimeMs / 1000;
      this.#specials.set(name, { ...plainFolder, name, mtime, xattrs: all });
    }
    const specials = [...this.#specials.values()].filter((entry) => this.#isStillMeant(entry));
    specials.push(...this.#linksTo(specials.filter((entry) => entry.type === 'file')));
    const lacks = specials.length === 0 ? undefined : await makeSpecialEntries(target, specials, { isExact });
    // The deepest first: writing into a folder changes its time.
    for (const [name, header] of [...this.#folderHeaders].reverse()) this.#dress(this.#at(name), header);
    return {
      whiteouts: [...this.#whiteouts],
      opaques: [...this.#opaques],
      implicit: [...this.#folders.implicit],
      sizeBytes: this.#sizeBytes,
      ...(lacks === undefined ? {} : { lacks }),
    };
  }

  /** Whiteouts and opaque folders, each said by an empty file. */
  #mark(folder: string, base: string, header: TarHeader): void {
    if (base === '.wh..wh..opq') {
      this.#folders.ensure(folder, header.name);
      this.#opaques.add(folder);
    } else if (!base.startsWith('.wh..wh.')) {
      // Others of that kind are what AUFS kept for itself.
      const hidden = base.slice('.wh.'.length);
      if (hidden === '' || hidden === '.' || hidden === '..') throw leadsOut(header.name);
      this.#folders.ensure(folder, header.name);
      this.#whiteouts.add(folder === '' ? hidden : `${folder}/${hidden}`);
    }
  }

  #folder(name: string, above: string, header: TarHeader): void {
    this.#folders.ensure(above, header.name);
    this.#folders.make(name);
    this.#folderHeaders.delete(name);
    this.#folderHeaders.set(name, header);
    this.#attributes(name, header);
  }

  #write(name: string, header: TarHeader): void {
    this.#specials.delete(name);
    this.#folderHeaders.delete(name);
    switch (header.type) {
      case 'file':
        this.#create(name, (path) => {
          this.#file = { fd: openSync(path, 'wx', this.#modeOf(header)), header };
        });
        this.#attributes(name, header);
        break;
      case 'symlink':
        this.#create(name, (path) => symlinkSync(textOrBytes(linkOf(header)), path));
        this.#own(this.#at(name), header);
        this.#attributes(name, header);
        break;
      case 'link':
        this.#link(name, header);
        break;
      default:
        this.#makeRoom(name);
        // Devices only where they can be made.
        if (header.type === 'fifo' || this.#options.isExact) {
          this.#specials.set(name, { ...header, name, xattrs: meant(header, this.#options.isExact) });
        }
    }
  }

  #link(name: string, header: TarHeader): void {
    const from = containedPath(linkOf(header));
    if (from === name) return; // To itself.
    const cut = from.lastIndexOf('/');
    this.#folders.check(cut < 0 ? '' : from.slice(0, cut), header.name);
    const found = lstatSync(this.#at(from), { throwIfNoEntry: false });
    const special = found ? undefined : this.#specials.get(from);
    if (special) {
      this.#makeRoom(name);
      this.#specials.set(name, { ...special, name, type: 'link', linkName: from });
    } else if (found && !found.isDirectory() && !from.startsWith(`${name}/`)) {
      this.#create(name, (path) => linkSync(this.#at(from), path));
      this.#links.add(name);
    } else {
      const what = `hard link ${shown(header.name)}: ${shown(header.linkName)}`;
      throw new Error(`${what} is no file of the same layer`);
    }
  }

  /** Makes something at `name`, in the place of whatever is there. */
  #create(name: string, make: (path: string | Buffer) => void): void {
    const path = this.#at(name);
    try {
      make(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      this.#clear(name);
      make(path);
    }
  }

  /** Removes what earlier entries put at `name`, and below. */
  #clear(name: string): void {
    removeTree(this.#at(name));
    this.#folders.forget(name);
    for (const map of [this.#folderHeaders, this.#specials]) {
      for (const other of map.keys()) if (other.startsWith(`${name}/`)) map.delete(other);
    }
  }

  #makeRoom(name: string): void {
    if (lstatSync(this.#at(name), { throwIfNoEntry: false })) this.#clear(name);
  }

  /** Of what is there already. */
  #attributes(name: string, header: TarHeader): void {
    this.#specials.delete(name);
    if (header.xattrs.size === 0) return;
    const xattrs = meant(header, this.#options.isExact);
    if (xattrs.size > 0) this.#specials.set(name, { ...header, name, mode: this.#modeOf(header), xattrs });
  }

  /** Files that are made anew lose their other names: those are made anew, too. */
  #linksTo(files: readonly SpecialEntry[]): SpecialEntry[] {
    if (files.length === 0 || this.#links.size === 0) return [];
    const inode = (name: string) => lstatSync(this.#at(name), { throwIfNoEntry: false })?.ino;
    const nameOfInode = new Map(files.map(({ name }) => [inode(name), name]));
    return [...this.#links].flatMap((name) => {
      const linkName = nameOfInode.get(inode(name));
      if (linkName === undefined || linkName === name) return [];
      return { ...plain, name, type: 'link' as const, linkName, mode: 0o644, major: 0, minor: 0 };
    });
  }

  /** Later entries may have put something else in its place. */
  #isStillMeant({ name, type }: SpecialEntry): boolean {
    const found = lstatSync(this.#at(name), { throwIfNoEntry: false });
    if (type === 'file') return found?.isFile() === true;
    if (type === 'directory') return found?.isDirectory() === true;
    return type === 'symlink' ? found?.isSymbolicLink() === true : found === undefined;
  }

  #modeOf({ mode, type }: TarHeader): number {
    if (this.#options.isExact) return mode;
    // The owner must be able to read, copy and remove what it unpacked.
    return (mode & 0o777) | (type === 'directory' ? 0o700 : 0o400);
  }

  #own(path: string | Buffer, { uid, gid, mtime }: TarHeader): void {
    if (this.#options.isExact && (uid !== 0 || gid !== 0)) lchownSync(path, uid, gid);
    if (isTime(mtime)) lutimesSync(path, mtime, mtime);
  }

  #dress(path: string | Buffer, header: TarHeader): void {
    const { isExact } = this.#options;
    // The root is there before us, with an owner and a mode of its own.
    if (isExact) lchownSync(path, header.uid, header.gid);
    chmodSync(path, this.#modeOf(header));
    if (isTime(header.mtime)) lutimesSync(path, header.mtime, header.mtime);
  }
}

const isTime = (mtime: number | undefined): mtime is number => mtime !== undefined && Math.abs(mtime) < timeMax;

const plain = { uid: 0, gid: 0, mtime: undefined, linkName: '', sizeBytes: 0, xattrs: new Map<string, Buffer>() };
const whiteout = { ...plain, type: 'character-device', mode: 0, major: 0, minor: 0 } as const;
const plainFolder = { ...plain, type: 'directory', mode: 0o755, major: 0, minor: 0 } as const;

/** Without what would steer overlayfs, and another machine's labels; who is not root sets only what anybody may. */
function meant({ xattrs }: TarHeader, isExact: boolean): ReadonlyMap<string, Buffer> {
  const isMeant = (name: string) =>
    isExact ? !/^(trusted|user)\.overlay\.|^security\.selinux$|=/.test(name) : /^user\.(?!overlay\.)[^=]+$/.test(name);
  return new Map([...xattrs].filter(([name]) => isMeant(name)));
}

function linkOf({ name, linkName }: TarHeader): string {
  if (linkName !== '') return linkName;
  throw new Error(`the link ${shown(name)} leads nowhere`);
}

const textOrBytes = (name: string) => (name.isWellFormed() ? name : bytesOf(name));
