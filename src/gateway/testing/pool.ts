import type { UpstreamPool } from '../sides.ts';

/** A pool without connections, which tells when it is to close them. */
export function poolOf(closeIdle: () => void): UpstreamPool {
  return {
    idleCount: 0,
    upstream() {
      throw new Error('nobody should ask for it');
    },
    closeExpired() {},
    closeIdle,
  };
}
