import { randomFillSync } from 'node:crypto';

const pooledBytes = 16 * 1024;
const pool = Buffer.allocUnsafe(pooledBytes);
let poolHex = '';
let used = pooledBytes;

/** `byteCount` random bytes (cryptographic) in lower-case hex. Drawn from a pool: a call costs a slice of a string. */
export function randomHex(byteCount: number): string {
  if (used + byteCount > pooledBytes) {
    randomFillSync(pool);
    poolHex = pool.toString('hex');
    used = 0;
  }
  const start = used;
  used += byteCount;
  return poolHex.slice(start * 2, used * 2);
}
