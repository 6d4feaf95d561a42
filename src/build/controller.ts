import { type Build, BuildKind } from '../api/build/build.ts';
import { type Key, keyOf, keyText } from '../api/meta.ts';
import type { Controller, ReconcileContext } from '../kube/reconciler.ts';
import { Quarantine } from '../lib/quarantine.ts';
import { Semaphore } from '../lib/semaphore.ts';
import type { Metrics } from '../observe/metrics.ts';
import { embeddedRegistryHost } from '../registry/index.ts';
import { Housekeeping } from './housekeeping.ts';
import { buildRetentionController } from './retention/controller.ts';
import { type RunOptions, runBuild } from './run.ts';
import { isFinished } from './status.ts';
import { WorkerPool } from './worker/pool.ts';

type Needed = 'mirrors' | 'dataDir' | 'clock' | 'log';
type Defaulted = 'quarantine' | 'builder' | 'retryDelaysMs' | 'imageHost';

/** `builder` is processes of their own unless given, `imageHost` the embedded registry. */
export interface BuildControllerOptions extends Pick<RunOptions, Needed>, Partial<Pick<RunOptions, Defaulted>> {
  metrics?: Metrics;
  /** Builds at once; 2 unless given. The others wait. */
  concurrency?: number;
  /** What each of the caches may hold on the disk. */
  cacheBytesMax?: number;
}

/**
 * Runs every Build once, and again if the platform went down in the middle of it. Deleting a Build cancels it. Old ones
 * that no Revision needs are deleted.
 */
export function buildControllers(options: BuildControllerOptions): Controller[] {
  const runs = new BuildRuns(withDefaults(options));
  const controller: Controller<Build> = {
    name: 'build',
    kind: BuildKind,
    async reconcile(build, context) {
      const isWanted = build.metadata.deletionTimestamp === undefined;
      if (isWanted && runs.isAtWork(build)) return;
      // Of this Build when it is being deleted, or of one that had its name before.
      runs.cancel(keyOf(build));
      // The run writes the Build's status itself: a build takes longer than a reconcile should.
      if (isWanted && !isFinished(build)) runs.start(build, context);
    },
    onGone: (key) => runs.cancel(key),
  };
  return [controller, buildRetentionController()];
}

const retryDelaysMs = [500, 2000, 8000];
const secondsBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

function withDefaults(options: BuildControllerOptions): RunOptions {
  const { metrics, concurrency = 2, ...given } = options;
  const seconds = metrics?.histogram('kittiwake_build_seconds', 'Duration of builds', ['result'], secondsBuckets);
  return {
    quarantine: new Quarantine(),
    builder: new WorkerPool(),
    retryDelaysMs,
    imageHost: embeddedRegistryHost,
    ...given,
    slots: new Semaphore(concurrency),
    housekeeping: new Housekeeping(given),
    observe: (result, duration) => seconds?.observe({ result }, duration),
  };
}

/** The builds that wait or are at work, by key. */
class BuildRuns {
  readonly #options: RunOptions;
  readonly #runs = new Map<string, { uid: string | undefined; abort: AbortController }>();
  /** The runner's; its end is the end of the builder, too. */
  #signal: AbortSignal | undefined;

  constructor(options: RunOptions) {
    this.#options = options;
  }

  isAtWork({ metadata }: Build): boolean {
    return this.#runs.get(keyText(metadata))?.uid === metadata.uid && metadata.uid !== undefined;
  }

  start(build: Build, context: ReconcileContext): void {
    this.#closeWith(context.signal);
    const key = keyText(keyOf(build));
    const run = { uid: build.metadata.uid, abort: new AbortController() };
    this.#runs.set(key, run);
    const stop = () => run.abort.abort(new Error('the platform is stopping'));
    context.signal.addEventListener('abort', stop, { once: true });
    // `runBuild` says in the Build's status what goes wrong; what is left is its being cancelled.
    void runBuild(build, this.#options, context, run.abort.signal)
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
    this.#runs.get(text)?.abort.abort(new Error('the Build was deleted'));
    this.#runs.delete(text);
  }

  #closeWith(signal: AbortSignal): void {
    if (this.#signal === signal) return;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#options.builder.close(), { once: true });
  }
}
