import type { Survivor } from './survivor.ts';

/** Deciders, the event log, the broker, the quarantine, the work queue and the garbage collector; by file. */
export const servingAndEventing: readonly Survivor[] = [];
