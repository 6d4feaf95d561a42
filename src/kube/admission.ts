import type { FieldError } from '../api/field-error.ts';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { UserInfo } from '../api/user.ts';

/**
 * A check or change of objects on their way into the API that needs more than the object itself (what a Kind's own
 * `setDefaults` and `validate` cannot do). The embedded API server calls it in its pipeline; on another cluster the
 * same one is served as a webhook.
 */
export interface Admission<T extends KubeObject = KubeObject> {
  name: string;
  kinds: readonly Kind<T>[];
  /** Changes `request.object` (its own copy), which is then pruned and defaulted as if a client had sent it. */
  mutate?(request: AdmissionRequest<T>): Promise<void> | void;
  validate?(request: AdmissionRequest<T>): Promise<FieldError[]> | FieldError[];
}

/** Who wants what, and the object that would come of it. */
export interface AdmissionRequest<T extends KubeObject = KubeObject> {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  user: UserInfo;
  kind: Kind<T>;
  namespace?: string | undefined;
  /** Absent when one is created: it may have none yet that the request knows. */
  name?: string | undefined;
  /** Through which the object is written, for example `scale`. */
  subresource?: string | undefined;
  object: T;
  /** The stored object. */
  old: T | undefined;
  isDryRun: boolean;
  /** What the client is told besides the answer; a plugin adds to it. */
  warnings: string[];
}
