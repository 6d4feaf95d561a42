import type { FileHandle } from 'node:fs/promises';
import { relative } from 'node:path';
import { messageOf } from '../../../../lib/errors.ts';
import { type Mount, StartError } from '../../driver.ts';
import { openWithin, pathOf } from '../../open-within.ts';

export interface PinnedMounts {
  mounts: Mount[];
  /** Once the container has started, or will not. */
  release(): Promise<void>;
}

/**
 * Sources that containers could move about until the OCI runtime mounts them (a subPath: what leads to it is in a
 * volume that others write to) as they are now: open files of this process, which nobody can swap for a link.
 * An agent that dies meanwhile takes them along, and the start fails. Throws StartError.
 */
export async function pinMounts(mounts: readonly Mount[]): Promise<PinnedMounts> {
  const opened: FileHandle[] = [];
  const release = async () => {
    for (const each of opened) await each.close();
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
      pinned.push({ ...mount, source: pathOf(handle) });
    }
    return { mounts: pinned, release };
  } catch (error) {
    await release();
    throw new StartError(
      'CreateContainerConfigError',
      `failed to prepare subPath for volumeMount: ${messageOf(error)}`,
    );
  }
}
