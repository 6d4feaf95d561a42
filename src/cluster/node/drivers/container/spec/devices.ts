import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDevice } from './oci.ts';

/** Folders of /dev that are made for each container, and what only the machine's own terminals are. */
const notForContainers = new Set(['pts', 'shm', 'mqueue', 'fd', '.lxc', '.lxd-mounts', '.udev', 'console']);
/** A machine has some hundred; more than this many are not looked at. */
const devicesMax = 10_000;

/** The machine's devices, all of which a privileged container has (as containerd gives them). */
export async function hostDevices(folder = '/dev'): Promise<OciDevice[]> {
  const devices: OciDevice[] = [];
  const folders = [folder];
  for (let path = folders.pop(); path !== undefined && devices.length < devicesMax; path = folders.pop()) {
    const entries = await readdir(path, { withFileTypes: true }).catch(() => [] /* gone, or not for us */);
    for (const entry of entries) {
      const at = join(path, entry.name);
      if (notForContainers.has(entry.name)) continue;
      if (entry.isDirectory()) folders.push(at);
      if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
      const found = await stat(at).catch(() => undefined); // It went meanwhile.
      if (found) devices.push({ path: at, type: entry.isBlockDevice() ? 'b' : 'c', ...numbersOf(found) });
    }
  }
  return devices;
}

/** As glibc takes a device number apart. */
function numbersOf({ rdev, mode, uid, gid }: { rdev: number; mode: number; uid: number; gid: number }) {
  const device = BigInt(rdev);
  const major = Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n));
  const minor = Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n));
  return { major, minor, fileMode: mode & 0o7777, uid, gid };
}
