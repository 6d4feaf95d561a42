import { patienceMs } from './patience.ts';

/** Asks again and again until it is so, and returns what was found; fails after a while, and says what is not. */
export async function until<T>(
  isSo: () => T | Promise<T>,
  what: string | (() => string) = String(isSo),
): Promise<NonNullable<T>> {
  for (const endMs = performance.now() + patienceMs; ; ) {
    const found = await isSo();
    if (found) return found;
    if (performance.now() > endMs) throw new Error(`did not come to be: ${typeof what === 'string' ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
