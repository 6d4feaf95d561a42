import { existsSync, type FSWatcher, mkdirSync, readdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import { startOf } from '../../../../lib/process-identity.ts';
import { pidIn } from './started.ts';

/** The system tells of a file at once; should it lose one, or have no watches left, it is looked for this often. */
const pollMs = 100;
const pollUnwatchedMs = 10;

/** Files that an OCI runtime makes when a program has started (`--pid-file`), all in one folder. */
export class Arrivals {
  readonly dir: string;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, () => void>();
  readonly #watcher: FSWatcher | undefined;

  constructor(dir: string, clock: Clock) {
    this.dir = dir;
    this.#clock = clock;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    try {
      this.#watcher = watch(dir, { persistent: false }, (_, name) => this.#waiting.get(name ?? '')?.());
      this.#watcher.on('error', () => {}); // Looked for, then.
    } catch {
      // inotify has no watches left (ENOSPC, EMFILE): looked for, then.
    }
  }

  /** Resolves when the file `name` is there, or when `ended` has resolved: true when it is there. Never rejects. */
  async until(name: string, ended: Promise<unknown>): Promise<boolean> {
    const path = join(this.dir, name);
    const ending = new AbortController();
    const over = ended.then(() => ending.abort());
    try {
      while (!ending.signal.aborted && !existsSync(path)) {
        const { promise: told, resolve } = Promise.withResolvers<void>();
        this.#waiting.set(name, resolve);
        const waiting = new AbortController();
        if (existsSync(path)) break;
        // The sleep that lost the race is ended by hand.
        const poll = sleep(this.#clock, this.#watcher ? pollMs : pollUnwatchedMs, waiting.signal).catch(() => {});
        await Promise.race([told, over, poll]);
        waiting.abort();
      }
    } finally {
      this.#waiting.delete(name);
    }
    return existsSync(path);
  }

  /** Removes the file, and what a runtime that was killed has left of writing it. */
  forget(name: string): void {
    for (const each of [name, `.${name}`]) rmSync(join(this.dir, each), { force: true });
  }

  /** Removes what is there of commands that have ended without their agent. */
  forgetCommands(): void {
    for (const name of readdirSync(this.dir)) {
      const pid = pidIn(join(this.dir, name.replace(/^\.|\.log$/g, '')));
      if (name.includes('exec-') && (pid === undefined || startOf(pid) === undefined)) {
        rmSync(join(this.dir, name), { force: true });
      }
    }
  }

  close(): void {
    this.#watcher?.close();
  }
}
