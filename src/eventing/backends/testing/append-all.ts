import type { NewEvent } from '../event-log.ts';

interface Appendable<T> {
  append(event: NewEvent, options?: { isReply: boolean }): Promise<T>;
}

/** All of the events at once; there is one at least. What the last of them resolves with. */
export async function appendAll<T>(log: Appendable<T>, events: readonly NewEvent[], options?: { isReply: boolean }) {
  const appended = await Promise.all(events.map((event) => log.append(event, options)));
  return appended.at(-1) as T;
}
