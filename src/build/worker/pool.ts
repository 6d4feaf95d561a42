import { DeadMansSwitch } from '../../lib/dead-mans-switch.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import type { Builder, BuildJob, BuildOutcome } from '../builder.ts';
import { BuildWorker, type WorkerOptions, workerDefaults } from './worker.ts';

export interface PoolOptions extends WorkerOptions {
  /** How long a worker is kept that has no build. */
  idleMs: number;
  /** How long workers have to end by themselves when this process is gone. */
  graceSeconds: number;
}

/** A worker that is kept has what it needs in memory: the next build begins at once. */
const poolDefaults: PoolOptions = { ...workerDefaults, idleMs: 30_000, graceSeconds: 5 };

/**
 * A process for each build that runs. One is kept for the next build, and ends when none comes for a while: a platform
 * that builds nothing has none.
 *
 *     build ──▶ the idle one, or a new one ──▶ at work ──ended──▶ idle (the first) ──30 s──▶ gone
 *                                                 │ died              └─ or gone (the others)
 *                                                 ▼ BuilderDied
 */
export class WorkerPool implements Builder {
  readonly #options: PoolOptions;
  readonly #mutexes = new Mutexes();
  readonly #workers = new Set<BuildWorker>();
  #idle: BuildWorker | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #switch: DeadMansSwitch | undefined;
  #isClosed = false;

  constructor(options: Partial<PoolOptions> = {}) {
    this.#options = { ...poolDefaults, ...options };
  }

  /** Of the processes that there are. */
  get pids(): number[] {
    return [...this.#workers].flatMap(({ pid }) => pid ?? []);
  }

  async build(
    job: BuildJob,
    onProgress: (message: string, log: string) => void,
    signal: AbortSignal,
  ): Promise<BuildOutcome> {
    signal.throwIfAborted();
    const worker = this.#take();
    try {
      return await worker.build(job, onProgress, signal);
    } finally {
      this.#putBack(worker);
    }
  }

  close(): void {
    this.#isClosed = true;
    const idle = this.#takeIdle();
    if (idle) this.#end(idle);
  }

  #take(): BuildWorker {
    const idle = this.#takeIdle();
    if (idle?.isAlive) return idle;
    if (idle) this.#end(idle);
    const worker = new BuildWorker(this.#mutexes, this.#options);
    this.#workers.add(worker);
    this.#watch();
    return worker;
  }

  #takeIdle(): BuildWorker | undefined {
    const idle = this.#idle;
    this.#idle = undefined;
    clearTimeout(this.#idleTimer);
    return idle;
  }

  #putBack(worker: BuildWorker): void {
    if (this.#idle || this.#isClosed || !worker.isAlive) this.#end(worker);
    else {
      this.#idle = worker;
      this.#idleTimer = setTimeout(() => this.#end(worker), this.#options.idleMs).unref();
    }
  }

  #end(worker: BuildWorker): void {
    if (this.#idle === worker) this.#takeIdle();
    // It cannot fail, and whoever asks for `pids` sees it until it is gone.
    void worker.end().then(() => {
      this.#workers.delete(worker);
      this.#watch();
    });
  }

  /** Workers that are stuck do not notice that this process is gone. */
  #watch(): void {
    if (this.#workers.size > 0) {
      const { program, graceSeconds } = this.#options;
      this.#switch ??= new DeadMansSwitch(program.split('/').slice(-3).join('/'), graceSeconds);
      this.#switch.watch(this.pids);
    } else {
      this.#switch?.disarm();
      this.#switch = undefined;
    }
  }
}
