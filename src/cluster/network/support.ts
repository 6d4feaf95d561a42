import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';

/** The programs of the system that a network of pods needs, and the packages that have them in most distributions. */
const programs = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux' };

/** What this machine lacks for pods with a network of their own, and what to do; undefined when it has all. */
export function missingForPodNetwork(): { missing: string; remedy: string } | undefined {
  if (process.platform !== 'linux') return { missing: 'it needs Linux', remedy: 'pods run as processes here' };
  if (process.getuid?.() !== 0) return { missing: 'it needs root', remedy: 'start the platform as root' };
  for (const [program, from] of Object.entries(programs)) {
    if (!isOnPath(program)) return { missing: `there is no ${program}`, remedy: `install the package ${from}` };
  }
  if (!existsSync('/proc/sys/net/ipv4/ip_forward')) {
    return { missing: 'there is no /proc/sys/net', remedy: 'mount /proc with its settings' };
  }
  return undefined;
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== '';
    } catch {
      return false; // Not there: another folder may have it.
    }
  });
}
