import type { Flush } from '../sqlite-file.ts';

/** A disk whose flushes end when the test says so, and as it says. */
export function heldDisk() {
  const pending: (() => void)[] = [];
  let isHeld = true;
  let asked = 0;
  let result: Error | null = null;
  const fdatasync: Flush = (_fd, done) => {
    asked++;
    pending.push(() => done(result));
    if (!isHeld) release();
  };
  const release = (error: Error | null = null) => {
    result = error;
    for (const end of pending.splice(0)) end();
  };
  return {
    fdatasync,
    release,
    /** How many flushes were asked for so far. */
    get asked() {
      return asked;
    },
    letGo() {
      isHeld = false;
      release();
    },
    async isAsked(count: number) {
      while (asked < count) await new Promise((resolve) => setImmediate(resolve));
      // What does not wait for the disk has had its turn.
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
