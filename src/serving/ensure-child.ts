import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/meta.ts';
import type { ConditionManager } from '../kube/conditions.ts';
import { ensure, NotOwnedError } from '../kube/ensure.ts';
import type { ReconcileContext } from '../kube/reconciler.ts';

export interface ChildOptions<T extends KubeObject, C extends string> {
  /** What is False when an object of the name belongs to somebody else. */
  condition: C;
  /** What it is called then; its kind unless given. */
  what?: string;
  update(current: T, desired: T): T;
}

/** `ensure` for what the run's object owns; a condition says when it cannot, as somebody else's is in its place. */
export async function ensureChild<T extends KubeObject, C extends string>(
  run: { object: KubeObject; conditions: ConditionManager<C> },
  context: ReconcileContext,
  kind: Kind<T>,
  desired: T,
  { condition, what = kind.kind, update }: ChildOptions<T, C>,
): Promise<T> {
  try {
    return await ensure(context, kind, desired, { owner: run.object, update });
  } catch (error) {
    if (error instanceof NotOwnedError) {
      const message = `There is an existing ${what} "${desired.metadata.name}" that we do not own.`;
      run.conditions.markFalse(condition, 'NotOwned', message);
    }
    throw error;
  }
}
