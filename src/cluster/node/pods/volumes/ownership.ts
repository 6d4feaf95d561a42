import { constants } from 'node:fs';
import { type FileHandle, lchown, open, readdir } from 'node:fs/promises';
import type { Pod } from '../../../../api/core/pod.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Deeper than any program keeps its files; a descriptor is open for each. */
const depthMax = 200;

/**
 * Gives a volume to the pod's `fsGroup`, as the kubelet does it (SetVolumeOwnership): its group owns all there is, may
 * read and write it, and owns what is made there (setgid). With `fsGroupChangePolicy: OnRootMismatch` only when the
 * volume's own folder is not like that already. Nothing of it is done without the superuser's rights.
 *
 * Another pod may be writing there meanwhile: each step is taken from a folder that is open, and no link is followed,
 * so whatever is moved about, nothing outside of the volume is changed.
 */
export async function giveToGroup(folder: string, { spec }: Pod): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = spec.securityContext ?? {};
  if (fsGroup === undefined || process.platform !== 'linux' || process.getuid?.() !== 0) return;
  const root = await open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    if (fsGroupChangePolicy === 'OnRootMismatch' && (await isGiven(root, fsGroup))) return;
    await giveFolder(root, fsGroup, 0);
  } finally {
    await root.close();
  }
}

const folderMode = 0o2770;
const fileMode = 0o660;

async function isGiven(root: FileHandle, group: number): Promise<boolean> {
  const { gid, mode } = await root.stat();
  return gid === group && (mode & folderMode) === folderMode;
}

/** Its content first: a walk that was cut short is seen at the root, and done again. */
async function giveFolder(folder: FileHandle, group: number, depth: number): Promise<void> {
  const here = `/proc/self/fd/${folder.fd}`;
  for (const name of depth < depthMax ? await readdir(here) : []) {
    const path = `${here}/${name}`;
    const entry = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(whatCannotBeOpened);
    if (entry === 'gone') continue;
    if (entry === 'special') {
      await lchown(path, -1, group).catch(ignoreGone);
      continue;
    }
    try {
      const found = await entry.stat();
      if (found.isDirectory()) await giveFolder(entry, group, depth + 1);
      else await give(entry, group, fileMode);
    } finally {
      await entry.close();
    }
  }
  await give(folder, group, folderMode);
}

async function give(entry: FileHandle, group: number, mode: number): Promise<void> {
  const before = await entry.stat();
  await entry.chown(before.uid, group); // Takes setuid and setgid away from files that are programs.
  await entry.chmod((before.mode & 0o7777) | mode);
}

/** A link, a socket, or a device that is not there: its group can be set, and its mode is nobody's. */
function whatCannotBeOpened(error: NodeJS.ErrnoException): 'gone' | 'special' {
  if (error.code === 'ENOENT') return 'gone';
  if (error.code === 'ELOOP' || error.code === 'ENXIO' || error.code === 'ENODEV') return 'special';
  throw error;
}

const ignoreGone = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error;
};
