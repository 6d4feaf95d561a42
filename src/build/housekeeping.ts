import { rm } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../observe/log.ts';
import { beyond, keepNewest, removeAll } from './caches.ts';
import { type BuildFolders, buildFolders } from './context.ts';
import { endLeftSteps } from './steps/left-steps.ts';

/** What the cache remembers of images and of layers, each; counted when the platform starts. */
const cacheEntriesMax = 1000;
/** What package managers keep of what they fetched, and what is installed for builds that compile, each. */
const cacheBytesMaxDefault = 4 * 1024 ** 3;
const tidyEveryMs = 3_600_000;

export interface HousekeepingOptions {
  /** The builds' own folder. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  /** What each of the caches may hold on the disk. */
  cacheBytesMax?: number;
}

/** Keeps the builds' folder in order: after a crash, and as it grows. */
export class Housekeeping {
  readonly #folders: BuildFolders;
  readonly #options: HousekeepingOptions;
  /** Builds wait for it. */
  #ready: Promise<void> | undefined;
  #tidiedMs: number | undefined;
  #atWork = 0;

  constructor(options: HousekeepingOptions) {
    this.#folders = buildFolders(options.dataDir);
    this.#options = options;
  }

  /** Before a build: ends what an earlier run of the platform left, and removes its temporary files. */
  prepared(): Promise<void> {
    this.#ready ??= this.#prepare().catch((err) => {
      // Of no matter for the build that comes; the next one tries again.
      this.#ready = undefined;
      this.#options.log.warn({ err }, "the builds' folder could not be prepared");
    });
    return this.#ready;
  }

  begin(): void {
    this.#atWork++;
  }

  /** After a build: now and then, bounds the caches. */
  end(): void {
    this.#atWork--;
    this.#tidy().catch((err) => {
      this.#options.log.warn({ err }, "the builds' caches could not be tidied");
    });
  }

  async #prepare(): Promise<void> {
    const killed = await endLeftSteps(this.#folders.pids);
    if (killed > 0) this.#options.log.warn({ killed }, 'build steps of an earlier run were still there: killed');
    await rm(this.#folders.work, { recursive: true, force: true });
  }

  /** What tools may be at is only removed while no build is at work. */
  async #tidy(): Promise<void> {
    const nowMs = this.#options.clock.monotonic();
    if (this.#tidiedMs !== undefined && nowMs - this.#tidiedMs < tidyEveryMs) return;
    this.#tidiedMs = nowMs;
    const { images, layers, npmCache, workspaces } = this.#folders;
    for (const folder of [images, layers]) await keepNewest(folder, cacheEntriesMax);
    const bytesMax = this.#options.cacheBytesMax ?? cacheBytesMaxDefault;
    const doomed = [...(await beyond(npmCache, bytesMax)), ...(await beyond(workspaces, bytesMax))];
    if (doomed.length === 0) return;
    if (this.#atWork > 0)
      this.#tidiedMs = undefined; // After the next build, then.
    else this.#ready = removeAll(doomed);
    await this.#ready;
  }
}
