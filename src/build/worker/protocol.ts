/** What the control process and a build's process say to one another. */
import type { BuildJob, BuildOutcome } from '../builder.ts';

export type ToWorker =
  | { type: 'build'; job: BuildJob }
  /** The attempt that runs is no longer wanted. */
  | { type: 'cancel' }
  /** The answer to `lock`; refused only when it was asked for `ifFree`. */
  | { type: 'locked'; id: number; isGranted: boolean };

export type FromWorker =
  | { type: 'ready' }
  /** The event loop turns. */
  | { type: 'beat' }
  | { type: 'progress'; message: string; log: string }
  | { type: 'lock'; id: number; name: string; ifFree: boolean }
  | { type: 'unlock'; id: number }
  | { type: 'ended'; outcome: BuildOutcome };

/** How often a worker says that its event loop turns. */
export const beatMs = 500;
