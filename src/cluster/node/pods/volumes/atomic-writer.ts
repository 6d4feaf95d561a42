import { randomInt } from 'node:crypto';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The content of one file of a volume; the path is relative, without `..`, and its first part does not begin so. */
export interface VolumeFile {
  path: string;
  content: Buffer;
  mode: number;
  /** Who owns it, where that is not the agent. */
  uid?: number | undefined;
}

export interface WriteOptions {
  nowMs: number;
  /** The group that may read all of it; only the superuser can give files away. */
  fsGroup?: number | undefined;
}

/** The link that all others lead through. */
export const dataLink = '..data';
const nextDataLink = '..data_tmp';
/** `..2026_11_26_18_03_59.4711` */
const versionPattern = /^\.\.\d{4}(?:_\d\d){5}\.\d+$/;

/**
 * Makes `dir` show exactly `files`, all of them at once, as kubelet does (pkg/volume/util/atomic_writer.go):
 *
 *     dir/level   ──▶ ..data/level
 *     dir/sub     ──▶ ..data/sub
 *     dir/..data  ──▶ ..2026_11_26_18_03_59.4711/      renamed over the one before: the one step that readers see
 *
 * The folder itself stays: a container may have it mounted. Nothing is written through what a container could have put
 * there: each version has a new folder, and what has the name of a file is replaced. Returns whether anything was new.
 */
export async function writeAtomically(
  dir: string,
  files: readonly VolumeFile[],
  options: WriteOptions,
): Promise<boolean> {
  await mkdir(dir, { recursive: true });
  const before = await currentVersion(dir);
  const isNew = before === undefined || !(await holdsExactly(join(dir, before), files));
  const current = isNew ? newName(options.nowMs) : before;
  if (isNew) {
    await writeVersion(join(dir, current), files, options);
    await rm(join(dir, nextDataLink), { recursive: true, force: true });
    await symlink(current, join(dir, nextDataLink));
    if (before === undefined) await rm(join(dir, dataLink), { recursive: true, force: true });
    await rename(join(dir, nextDataLink), join(dir, dataLink));
  }
  await showOnly(dir, current, new Set(files.map(({ path }) => path.split('/')[0] ?? '')));
  return isNew;
}

async function currentVersion(dir: string): Promise<string | undefined> {
  const target = await readlink(join(dir, dataLink)).catch(() => ''); // Not there, or no link: then there is none.
  if (!versionPattern.test(target)) return undefined;
  const found = await lstat(join(dir, target)).catch(() => undefined); // As above.
  return found?.isDirectory() ? target : undefined;
}

function newName(nowMs: number): string {
  const [text = ''] = new Date(nowMs).toISOString().split('.');
  return `..${text.replaceAll(/[-:T]/g, '_')}.${randomInt(2 ** 31)}`;
}

async function writeVersion(place: string, files: readonly VolumeFile[], { fsGroup }: WriteOptions): Promise<void> {
  const group = fsGroup !== undefined && process.getuid?.() === 0 ? fsGroup : undefined;
  await mkdir(place, { mode: 0o755 });
  const folders = new Set<string>();
  for (const { path, content, mode, uid } of files) {
    const target = join(place, path);
    const folder = dirname(target);
    if (folder !== place && !folders.has(folder)) {
      await mkdir(folder, { recursive: true });
      for (let each = folder; each !== place; each = dirname(each)) folders.add(each);
    }
    await rm(target, { force: true }); // Of two with one path, the later one is meant.
    await writeFile(target, content, { mode, flag: 'wx' });
    // Exactly this mode, whatever the umask; with an fsGroup, its members can read as they can of any volume.
    await chmod(target, group === undefined ? mode : mode | 0o440);
    if (group !== undefined || (uid !== undefined && process.getuid?.() === 0)) {
      await chown(target, uid ?? 0, group ?? 0);
    }
  }
  for (const folder of [place, ...folders]) {
    if (group !== undefined) await chown(folder, 0, group);
    await chmod(folder, group === undefined ? 0o755 : 0o2775);
  }
}

async function holdsExactly(place: string, files: readonly VolumeFile[]): Promise<boolean> {
  const entries = await readdir(place, { withFileTypes: true, recursive: true });
  const wanted = new Map(files.map((file) => [file.path, file]));
  const found = entries.filter((entry) => !entry.isDirectory());
  if (found.length !== wanted.size || !found.every((entry) => entry.isFile())) return false;
  for (const { path, content } of wanted.values()) {
    const there = await readFile(join(place, path)).catch(() => undefined); // Another's path, or taken away.
    if (!there?.equals(content)) return false;
  }
  return true;
}

/** Links for these names; what else is there goes, earlier versions too. */
async function showOnly(dir: string, current: string, names: ReadonlySet<string>): Promise<void> {
  for (const name of names) {
    const link = join(dir, name);
    const target = join(dataLink, name);
    if ((await readlink(link).catch(() => undefined)) === target) continue; // Not there, or no link: made below.
    await rm(link, { recursive: true, force: true });
    await symlink(target, link);
  }
  for (const name of await readdir(dir)) {
    if (names.has(name) || name === dataLink || name === current) continue;
    // What is no link of ours is another volume's mount point, or a subPath that was not there.
    const isOurs = versionPattern.test(name) || name === nextDataLink || (await isLinkOfOurs(join(dir, name), name));
    if (isOurs) await rm(join(dir, name), { recursive: true, force: true });
  }
}

const isLinkOfOurs = async (link: string, name: string) =>
  (await readlink(link).catch(() => undefined)) === join(dataLink, name); // No link.
