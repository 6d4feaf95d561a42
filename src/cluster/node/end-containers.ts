import { type Clock, sleep } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { RunningContainer } from './driver.ts';

/** A program that waits for a disk that does not answer ends only when that does: nobody waits for it any longer. */
const patienceMs = 5_000;

export interface EndOptions {
  clock: Clock;
  log: Logger;
  /** How long after SIGTERM SIGKILL comes; 0: it comes first. */
  killAfterMs: number;
}

/** Ends containers. Resolves when all have ended, or when it is no use to wait; never rejects. */
export async function endContainers(containers: readonly RunningContainer[], options: EndOptions): Promise<void> {
  const { clock, log, killAfterMs } = options;
  const left = new Set(containers);
  const ended = Promise.all(containers.map((container) => container.exited.then(() => left.delete(container))));
  const within = async (ms: number) => {
    const given = new AbortController();
    // Rejects when it is not needed any more.
    await Promise.race([ended, sleep(clock, ms, given.signal).catch(() => {})]);
    given.abort();
  };
  if (killAfterMs > 0) {
    for (const container of left) container.signal('SIGTERM');
    await within(killAfterMs);
  }
  for (const container of left) container.signal('SIGKILL');
  if (left.size > 0) await within(patienceMs);
  for (const { id } of left) log.warn({ container: id }, 'a container does not end: nobody waits for it any longer');
}
