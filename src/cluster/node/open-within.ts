import { constants } from 'node:fs';
import { chmod, type FileHandle, mkdir, open } from 'node:fs/promises';

/** Names a place without reading it; Node has no name for it, and it is the same number on all that Linux runs on. */
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW } = constants;

/** A part of the path is a link, or goes on below what is no folder. */
export class LeadsOutError extends Error {
  override readonly name = 'LeadsOutError';
  readonly part: string;

  constructor(part: string) {
    super(`it leads through ${JSON.stringify(part)}, which is no folder`);
    this.part = part;
  }
}

/**
 * Opens the file or folder `inner` (parts, none of them `..`) below `folder`, which is ours, while somebody else may be
 * writing to all that is in it: each step is taken from a folder that is open, and none through a link. So it is below
 * `folder` whatever is moved about meanwhile, and stays what it was when it was opened; `pathOf` is a path to it. Where
 * `makes` says so, folders that are not there are made, with the mode of the one they are in. Linux only.
 */
export async function openWithin(folder: string, inner: string, { makes = false } = {}): Promise<FileHandle> {
  let at = await open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  try {
    for (const part of inner.split('/').filter(Boolean)) {
      const next = await step(at, part, makes);
      await at.close();
      at = next;
    }
    return at;
  } catch (error) {
    await at.close();
    throw error;
  }
}

/** A path to what is open, for as long as it is; for any process of the machine with the rights of this one. */
export const pathOf = ({ fd }: FileHandle): string => `/proc/${process.pid}/fd/${fd}`;

async function step(at: FileHandle, part: string, makes: boolean): Promise<FileHandle> {
  const path = `${pathOf(at)}/${part}`;
  const opened = await open(path, O_PATH | O_NOFOLLOW).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOTDIR') throw new LeadsOutError(part);
    if (error.code !== 'ENOENT' || !makes) throw error;
    await make(at, path);
    return open(path, O_PATH | O_NOFOLLOW);
  });
  if ((await opened.stat()).isSymbolicLink()) {
    await opened.close();
    throw new LeadsOutError(part);
  }
  return opened;
}

async function make(at: FileHandle, path: string): Promise<void> {
  const { mode } = await at.stat();
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return; // Another container of the pod was faster.
    throw error;
  }
  const made = await open(path, O_PATH | O_NOFOLLOW);
  try {
    // Exactly, whatever the umask; and no link that has come in its place is followed.
    if ((await made.stat()).isDirectory()) await chmod(pathOf(made), mode & 0o7777);
  } finally {
    await made.close();
  }
}
