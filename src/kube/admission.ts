import type { FieldError } from '../api/field-error.ts';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';

/**
 * A check or change of objects on their way into the API that needs more than the object itself (what a Kind's own
 * `setDefaults` and `validate` cannot do). The embedded API server calls it in its pipeline; on another cluster the
 * same one is served as a webhook.
 */
export interface Admission<T extends KubeObject = KubeObject> {
  name: string;
  kinds: readonly Kind<T>[];
  /** Changes `request.object` (its own copy). */
  mutate?(request: AdmissionRequest<T>): Promise<void> | void;
  validate?(request: AdmissionRequest<T>): Promise<FieldError[]> | FieldError[];
}

export interface AdmissionRequest<T extends KubeObject = KubeObject> {
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  kind: Kind<T>;
  object: T;
  old: T | undefined;
  user: string;
  isDryRun: boolean;
}
