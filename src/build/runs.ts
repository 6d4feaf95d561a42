import type { Build } from '../api/build/build.ts';
import { type Key, keyOf, keyText } from '../api/meta.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';
import type { Clock } from '../lib/clock.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { Semaphore } from '../lib/semaphore.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost } from '../registry/index.ts';
import type { Builder } from './builder.ts';
import { type BuildFolders, buildFolders } from './context.ts';
import { Housekeeping } from './housekeeping.ts';
import { Cancelled, runBuild } from './run.ts';
import { WorkerPool } from './worker/pool.ts';

export interface BuildOptions {
  /** Where a host of images' names really is; the builds' processes have clients of their own. */
  mirrors: Record<string, string>;
  /** The builds' own folder: caches, workspaces, work in progress. */
  dataDir: string;
  clock: Clock;
  log: Logger;
  metrics?: Metrics;
  /** Knows which builds are at work: one that ends the process twice is not tried a third time, and fails. */
  quarantine?: Quarantine;
  /** Does the builds; processes of their own unless given. */
  builder?: Builder;
  /** Builds at once; 2 unless given. The others wait. */
  concurrency?: number;
  /** How long after a failure that is not the source's fault a build is tried again. */
  retryDelaysMs?: readonly number[];
  /** What each of the caches may hold on the disk. */
  cacheBytesMax?: number;
  /** The host of the images' names; the embedded registry unless given. */
  imageHost?: string;
}

type Given = 'mirrors' | 'clock' | 'log' | 'quarantine' | 'builder' | 'retryDelaysMs' | 'imageHost';

/** What all runs share. */
export interface Workshop extends Required<Pick<BuildOptions, Given>> {
  buildDir: string;
  folders: BuildFolders;
  slots: Semaphore;
  housekeeping: Housekeeping;
  /** Counts a build that has ended. */
  observe: (result: string, seconds: number) => void;
}

/** A failure that is not the source's fault (the registry is away, the disk is full) is tried again after these. */
const defaultRetryDelaysMs = [500, 2000, 8000];
const secondsBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

interface Run {
  uid: string | undefined;
  abort: AbortController;
}

/** The builds that wait or are at work, by key. */
export class BuildRuns {
  readonly #workshop: Workshop;
  readonly #runs = new Map<string, Run>();
  /** The runner's; its end is the end of the builder, too. */
  #signal: AbortSignal | undefined;

  constructor(options: BuildOptions) {
    this.#workshop = workshopOf(options);
  }

  isAtWork({ metadata }: Build): boolean {
    return this.#runs.get(keyText(metadata))?.uid === metadata.uid && metadata.uid !== undefined;
  }

  start(build: Build, context: ReconcileContext): void {
    this.#closeWith(context.signal);
    const key = keyText(keyOf(build));
    const run = { uid: build.metadata.uid, abort: new AbortController() };
    this.#runs.set(key, run);
    const stop = () => run.abort.abort(new Cancelled('the platform is stopping'));
    context.signal.addEventListener('abort', stop, { once: true });
    // `runBuild` says in the Build's status what goes wrong; what is left is its being cancelled.
    void runBuild(build, this.#workshop, context, run.abort.signal)
      .catch((err) => {
        if (!run.abort.signal.aborted) context.log.error({ err, build: key }, 'a build ended without a status');
      })
      .finally(() => {
        context.signal.removeEventListener('abort', stop);
        if (this.#runs.get(key) === run) this.#runs.delete(key);
      });
  }

  cancel(key: Key): void {
    const text = keyText(key);
    this.#runs.get(text)?.abort.abort(new Cancelled('the Build was deleted'));
    this.#runs.delete(text);
  }

  #closeWith(signal: AbortSignal): void {
    if (this.#signal === signal) return;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#workshop.builder.close(), { once: true });
  }
}

function workshopOf(options: BuildOptions): Workshop {
  const { dataDir, clock, log, mirrors, metrics, cacheBytesMax } = options;
  const folders = buildFolders(dataDir);
  const seconds = metrics?.histogram('kittiwake_build_seconds', 'Duration of builds', ['result'], secondsBuckets);
  const bounds = cacheBytesMax === undefined ? {} : { cacheBytesMax };
  return {
    mirrors,
    buildDir: dataDir,
    folders,
    clock,
    log,
    quarantine: options.quarantine ?? new Quarantine(),
    builder: options.builder ?? new WorkerPool(),
    slots: new Semaphore(options.concurrency ?? 2),
    housekeeping: new Housekeeping(folders, { clock, log, ...bounds }),
    retryDelaysMs: options.retryDelaysMs ?? defaultRetryDelaysMs,
    imageHost: options.imageHost ?? embeddedRegistryHost,
    observe: (result, duration) => seconds?.observe({ result }, duration),
  };
}
