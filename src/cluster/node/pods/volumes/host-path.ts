import { mkdir, stat, writeFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { refused } from './refused.ts';

export interface HostPath {
  path: string;
  type?: string;
}

/** What must be at the path of a volume with this type. */
const kinds: Record<
  string,
  { is: 'isDirectory' | 'isFile' | 'isSocket' | 'isCharacterDevice' | 'isBlockDevice'; noun: string }
> = {
  Directory: { is: 'isDirectory', noun: 'directory' },
  File: { is: 'isFile', noun: 'file' },
  Socket: { is: 'isSocket', noun: 'socket file' },
  CharDevice: { is: 'isCharacterDevice', noun: 'character device' },
  BlockDevice: { is: 'isBlockDevice', noun: 'block device' },
};

/** A path of the machine as a volume, made or refused as its type says (kubelet's pkg/volume/hostpath). */
export async function hostPathSource({ path, type = '' }: HostPath, volume: string): Promise<string> {
  if (!isAbsolute(path) || path.split('/').includes('..')) {
    throw refused(volume, `the hostPath ${JSON.stringify(path)} must be an absolute path without '..'`);
  }
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw refused(volume, `the hostPath ${path} cannot be looked at: ${error.message}`);
  });
  // Without a type nothing is asked for; as a container runtime would, a folder is made where there is nothing.
  if (!found && (type === '' || type === 'DirectoryOrCreate')) await mkdir(path, { recursive: true, mode: 0o755 });
  else if (!found && type === 'FileOrCreate') await writeFile(path, '', { mode: 0o644, flag: 'a' });
  else if (type !== '') {
    const name = type.replace(/OrCreate$/, '');
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (!kind) throw refused(volume, `${type} is an invalid volume type`);
    if (!found?.[kind.is]()) throw refused(volume, `hostPath type check failed: ${path} is not a ${kind.noun}`);
  }
  return path;
}
