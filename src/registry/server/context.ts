import type { Mutexes } from '../../lib/mutexes.ts';
import type { Pace } from './body.ts';
import type { Storage } from './storage.ts';
import type { Uploads } from './uploads.ts';

/** What the handlers of requests share. */
export interface Registry {
  /** What it may be called besides loopback. */
  host: string;
  storage: Storage;
  uploads: Uploads;
  /** At which a client must send what it began to send. */
  pace: Pace;
  /** By the name of a repository: its sweep and the manifests that come take turns. */
  turns: Mutexes;
}
