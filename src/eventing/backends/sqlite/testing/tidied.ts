import assert from 'node:assert/strict';
import { patienceMs } from '../../../../lib/testing/patience.ts';
import type { VirtualClock } from '../../../../lib/virtual-clock.ts';
import type { SqliteLog } from '../sqlite-log.ts';

/** Moves the clock, so that the log tidies up, until `isSo`; the disk's own time passes in between. */
export async function tidiedOn(clock: VirtualClock, log: SqliteLog, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!isSo()) {
    assert.ok(performance.now() < endMs, `did not come to be: ${isSo}, ${log.heldBytes} bytes held`);
    await clock.advance(50);
  }
}
