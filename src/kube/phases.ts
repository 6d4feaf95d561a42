import { type Conditioned, type KubeObject, timestamp } from '../api/meta.ts';
import type { ConditionManager, ConditionSet } from './conditions.ts';
import type { Reconcile, ReconcileContext, Requeue } from './reconciler.ts';
import { updateStatus } from './update-status.ts';

type WithStatus = KubeObject & { status?: Conditioned };

/** One look at an object: what the phases find out, until it is written as the object's status. */
export interface Run<T extends WithStatus, C extends string> {
  /** As stored; a phase that changes it puts the newer one here. */
  object: T;
  status: NonNullable<T['status']>;
  conditions: ConditionManager<C>;
  /** A phase that sets this ends the run: what comes after it has nothing to work with. */
  isBlocked?: boolean;
  requeue?: Requeue;
}

export type Phase<R> = (run: R, context: ReconcileContext) => Promise<void> | void;

export interface Phases<T extends WithStatus, C extends string, E extends object> {
  conditions: ConditionSet<C>;
  /** What the run has besides. Without it the object is left as it is, to be looked at again when a Requeue says. */
  begin?: (object: T, context: ReconcileContext) => Promise<Beginning<E>> | Beginning<E>;
  phases: readonly Phase<Run<T, C> & E>[];
  /** In place of the phases, when the object is being deleted. */
  finalize?: (object: T, context: ReconcileContext) => Promise<void> | void;
}

type Beginning<E> = E | Requeue | undefined;

/** As Knative has it: the conditions may be those of an older generation than the status says. */
const halfObserved = 'NewObservedGenFailure';

/**
 * The way every kind with living conditions is reconciled: the phases in order, over one run, until one throws or
 * blocks it; and whatever happens, what was found out until then is written, once and when it differs.
 */
export function reconcileInPhases<T extends WithStatus, C extends string, E extends object = object>(
  options: Phases<T, C, E>,
): Reconcile<T> {
  const { conditions, begin, phases, finalize } = options;
  return async (object, context) => {
    if (object.metadata.deletionTimestamp !== undefined) return await finalize?.(object, context);
    const begun = begin ? await begin(object, context) : ({} as E);
    if (begun === undefined || 'requeueAfterMs' in begun) return begun;
    const run: Run<T, C> & E = {
      ...begun,
      object,
      status: { ...object.status, observedGeneration: object.metadata.generation ?? 1 } as NonNullable<T['status']>,
      conditions: conditions.manage(object.status?.conditions, timestamp(context.clock.now())),
    };
    let isThrough = false;
    try {
      for (const phase of phases) {
        await phase(run, context);
        if (run.isBlocked) break;
      }
      isThrough = true;
    } finally {
      if (!isThrough) doubt(run, conditions.happy, object.status);
      run.status.conditions = run.conditions.conditions;
      await updateStatus(context, run.object, run.status);
    }
    return run.requeue;
  };
}

/**
 * A phase threw, so some conditions are still what they were. That of a generation that never got through nobody may
 * take for its outcome, unless it is that something was found to be False.
 */
function doubt<T extends WithStatus, C extends string>(
  { status, conditions }: Run<T, C>,
  happy: C,
  stored?: Conditioned,
) {
  if (conditions.foundFalse) return;
  const before = stored?.conditions?.find(({ type }) => type === happy);
  const isNew = stored?.observedGeneration !== status.observedGeneration || before?.reason === halfObserved;
  // One that was False may have been so because of a phase that threw: only a run that gets through makes it True.
  const isRisen = conditions.isTrue(happy) && before?.status !== 'True';
  if (isNew || isRisen) conditions.markUnknown(happy, halfObserved, 'unsuccessfully observed a new generation');
}
