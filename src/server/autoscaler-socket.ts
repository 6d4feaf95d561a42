import { createHash } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/** The kernel's bound on a Unix socket's path is 104 to 108 bytes. */
const socketPathBytesMax = 100;

/** Where the gateway reports demand: in the data folder, or a short name where that path is too long for a socket. */
export function autoscalerSocket(dataDir: string): string {
  const path = join(dataDir, 'run', 'autoscaler.sock');
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path;
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  return join(tmpdir(), `kittiwake-${userInfo().uid}-${hash}.sock`);
}
