import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { messageOf } from '../../../../lib/errors.ts';
import { type Mount, StartError } from '../../driver.ts';
import { openWithin } from '../../open-within.ts';

export interface PinnedMounts {
  mounts: Mount[];
  /** Writes into the start's folder what the shell over it needs (`mountPins`). */
  write(): void;
  /** Once the container has started, or will not. */
  release(): Promise<void>;
}

interface Pin {
  source: string;
  isFolder: boolean;
  /** Of the file itself: as long as it is open, nothing else has this number. */
  identity: string;
}

/**
 * Sources that containers could move about until the OCI runtime mounts them (a subPath: what leads to it is in a
 * volume that others write to), found from open folders and held open: nobody can swap one for a link unseen. A bind
 * mount of an open file is only possible in the mount namespace that it was opened in, so the shell over the container
 * mounts each by its path, below the start's folder, and looks whether it is the same file:
 *
 *     place/pins/N.source → the path     N.is: its device and inode     N: where it is mounted, for the runtime
 *
 * An agent that dies meanwhile lets go of them: then the number alone must do. Throws StartError.
 */
export async function pinMounts(mounts: readonly Mount[], place: string): Promise<PinnedMounts> {
  const opened: FileHandle[] = [];
  const pins: Pin[] = [];
  const release = async () => {
    for (const each of opened.splice(0)) await each.close();
  };
  try {
    const pinned: Mount[] = [];
    for (const mount of mounts) {
      const { within, source } = mount;
      if (within === undefined) {
        pinned.push(mount);
        continue;
      }
      const handle = await openWithin(within, relative(within, source));
      opened.push(handle);
      const found = await handle.stat({ bigint: true });
      pinned.push({ ...mount, source: pinPath(place, pins.length) });
      pins.push({ source, isFolder: found.isDirectory(), identity: `${found.dev}:${found.ino}` });
    }
    return { mounts: pinned, write: () => writePins(pins, place), release };
  } catch (error) {
    await release();
    throw new StartError(
      'CreateContainerConfigError',
      `failed to prepare subPath for volumeMount: ${messageOf(error)}`,
    );
  }
}

const pinPath = (place: string, index: number) => join(place, 'pins', String(index));

function writePins(pins: readonly Pin[], place: string): void {
  if (pins.length > 0) mkdirSync(join(place, 'pins'));
  for (const [index, { source, isFolder, identity }] of pins.entries()) {
    const path = pinPath(place, index);
    if (isFolder) mkdirSync(path);
    else writeFileSync(path, '');
    symlinkSync(source, `${path}.source`);
    writeFileSync(`${path}.is`, `${identity}\n`);
  }
}

/** A shell's function, for a mount namespace of its own, in the start's folder; fails when one is not what it was. */
export const mountPins = `mount_pins() {
  for source in pins/*.source; do
    [ -L "$source" ] || continue
    pin=\${source%.source}
    read -r is <"$pin.is" && mount --bind "$source" "$pin" || return 1
    [ "$(stat -c %d:%i "$pin")" = "$is" ] || { echo "a subPath was moved while it was being mounted" >&2; return 1; }
  done
}`;
