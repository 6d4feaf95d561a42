import { networkInterfaces } from 'node:os';
import type { Clock } from './clock.ts';

/** How long it is believed which addresses the host has. */
const knownMs = 5_000;

/** Tells whether an address is one of this host's, as it has them now or had them a moment ago. */
export function ownAddresses(clock: Clock): (address: string) => boolean {
  let own = new Set<string>();
  let knownAtMs = Number.NEGATIVE_INFINITY;
  return (address) => {
    const nowMs = clock.monotonic();
    if (nowMs - knownAtMs >= knownMs) {
      knownAtMs = nowMs;
      own = new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map((one) => one.address)));
    }
    return own.has(address);
  };
}
