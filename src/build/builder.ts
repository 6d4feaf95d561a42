import type { BuildSpec } from '../api/build/build.ts';
import type { BuildResult } from './build-image.ts';
import type { BuildFailureReason } from './failure.ts';

/** One attempt at one build: plain data, so that it can be done in a process of its own. */
export interface BuildJob {
  spec: BuildSpec;
  /** The repository that the image goes to, for example `registry.localhost/default/orders`. */
  repository: string;
  /** Where a host of references really is. */
  mirrors: Record<string, string>;
  /** The builds' own folder: caches, workspaces. */
  buildDir: string;
  /** A folder of this attempt alone, which is there. */
  workDir: string;
  /** Where its steps are noted while they run. */
  pidDir: string;
}

/** What came of an attempt, and the last part of what it printed. */
export type BuildOutcome = { log: string } & (
  | { type: 'built'; result: BuildResult }
  /** The source or the spec is at fault: trying again gives the same. */
  | { type: 'failed'; reason: BuildFailureReason; message: string }
  /** Something else: the registry is away, the disk is full. */
  | { type: 'broke'; message: string; stack: string }
);

/** Does attempts, as many at once as it is asked for. */
export interface Builder {
  /**
   * Rejects with the signal's reason when that aborts, once nothing of the attempt runs any more; and with BuilderDied.
   * `onProgress` says which step has begun, with what was printed before it.
   */
  build(job: BuildJob, onProgress: (message: string, log: string) => void, signal: AbortSignal): Promise<BuildOutcome>;
  /** What idles ends now, what works when it is done. */
  close(): void;
}

/** The process of a build ended, or had to be ended, before the build did. */
export class BuilderDied extends Error {
  override readonly name = 'BuilderDied';
  /** It crashed or hung; false when somebody killed it. */
  readonly isOwnDoing: boolean;

  constructor(how: string, isOwnDoing: boolean) {
    super(`the build's process ended (${how})`);
    this.isOwnDoing = isOwnDoing;
  }
}
