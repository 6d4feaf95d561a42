import { lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Mount, StartError } from '../../driver.ts';

/** The folder `path` within `root`, made if it is not there. Throws when a link on the way could lead out of `root`. */
export function folderInside(root: string, path: string): string {
  let folder = root;
  for (const part of partsOf(path)) {
    folder = join(folder, part);
    const found = lstatSync(folder, { throwIfNoEntry: false });
    if (!found) mkdirSync(folder);
    else if (!found.isDirectory()) {
      throw new StartError('CreateContainerError', `${path} is not a folder of the image: ${part} is a file or a link`);
    }
  }
  return folder;
}

/** Makes `mount` appear in `root`: a link, as a process without a file system of its own has no mounts. */
export function mountInside(root: string, mount: Mount): void {
  const parts = partsOf(mount.path);
  const name = parts.pop();
  if (name === undefined) throw new StartError('CreateContainerError', 'a volume cannot be mounted at /');
  const target = join(folderInside(root, parts.join('/')), name);
  rmSync(target, { recursive: true, force: true });
  symlinkSync(mount.source, target);
}

function partsOf(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new StartError('CreateContainerError', `the path ${path} leads out of the root`);
  return parts;
}
