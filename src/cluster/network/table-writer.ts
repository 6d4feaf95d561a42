import { type BackoffPolicy, jitteredBackoffDelayMs } from '../../lib/backoff.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { nft, run } from './commands.ts';

/** What a table shall be, and how it becomes that. */
export interface WrittenRuleset {
  /** What has changed since the last `done`; undefined when nothing has. */
  transaction(): string | undefined;
  whole(): string;
  done(how: 'transaction' | 'whole'): void;
}

export interface TableWriterOptions {
  table: string;
  ruleset: WrittenRuleset;
  /** Called before each write: gives the ruleset what has changed, and returns what follows the write. */
  prepare(): () => Promise<void>;
  clock: Clock;
  log: Logger;
}

const retryBackoff: BackoffPolicy = { firstMs: 50, maxMs: 10_000, factor: 2 };
/** Other programs flush all tables at times: that is seen within this, and mended. */
const checkEveryMs = 20_000;

/**
 * Keeps one table of the kernel as its ruleset says: changes that come while one is written are written together. A
 * transaction that fails is followed by the whole table, which takes the place of what is there in one step.
 */
export class TableWriter {
  readonly #options: TableWriterOptions;
  #isRunning = false;
  #isAsked = false;
  /** The next write replaces the whole table. */
  #isWhole = true;
  #isStarted = false;
  #isStopped = false;
  #failures = 0;
  #turn: Promise<void> = Promise.resolve();
  #cancelRetry = () => {};
  #cancelCheck = () => {};

  constructor(options: TableWriterOptions) {
    this.#options = options;
  }

  /** Resolves when the table is there for the first time. */
  async start(): Promise<void> {
    this.#isStarted = true;
    while (this.#isWhole && !this.#isStopped) {
      this.write();
      await this.#turn;
      if (this.#isWhole && !this.#isStopped) await new Promise<void>((resolve) => this.#afterBackoff(resolve));
    }
    this.#checkLater();
  }

  write(): void {
    this.#isAsked = true;
    if (!this.#isStarted || this.#isRunning || this.#isStopped) return;
    this.#isRunning = true;
    this.#turn = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry();
    this.#cancelCheck();
    await this.#turn;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    await Promise.resolve(); // What changes in this turn of the loop is written together.
    while (this.#isAsked && !this.#isStopped) {
      this.#isAsked = false;
      await this.#writeOnce();
    }
    this.#isRunning = false;
  }

  async #writeOnce(): Promise<void> {
    const { ruleset, prepare, log, table } = this.#options;
    try {
      const afterwards = prepare();
      const isWhole = this.#isWhole;
      const text = isWhole ? ruleset.whole() : ruleset.transaction();
      if (text !== undefined) await nft(text);
      ruleset.done(isWhole ? 'whole' : 'transaction');
      this.#isWhole = false;
      this.#failures = 0;
      await afterwards();
    } catch (error) {
      this.#isWhole = true;
      this.#failures++;
      log.warn({ table, reason: messageOf(error) }, 'rules could not be written: all of them are tried again');
      this.#afterBackoff(() => this.write());
    }
  }

  #afterBackoff(then: () => void): void {
    this.#cancelRetry();
    const delayMs = jitteredBackoffDelayMs(retryBackoff, Math.max(0, this.#failures - 1), Math.random());
    this.#cancelRetry = this.#options.clock.after(delayMs, then);
  }

  #checkLater(): void {
    if (this.#isStopped) return;
    this.#cancelCheck = this.#options.clock.after(checkEveryMs, () => {
      void this.#check().then(() => this.#checkLater()); // Neither rejects.
    });
  }

  async #check(): Promise<void> {
    const { table, log } = this.#options;
    try {
      await run(['nft', 'list', 'chains', 'ip'], '').then((chains) => {
        if (chains.includes(`table ip ${table} {`)) return;
        log.warn({ table }, 'somebody has removed our rules: they are written again');
        this.#isWhole = true;
        this.write();
      });
    } catch (error) {
      log.warn({ table, reason: messageOf(error) }, 'the rules could not be looked at');
    }
  }
}
