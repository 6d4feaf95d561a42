import type { Condition, Conditioned, KubeObject } from '../api/meta.ts';

type WithStatus = KubeObject & { status?: Conditioned };

export const readyConditionOf = (object: WithStatus): Condition | undefined => conditionOf(object, 'Ready');

export const conditionOf = (object: WithStatus, type: string): Condition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type);

/**
 * `conditions` with the transition times of those stored, where the status has not changed in the end: the phases of a
 * reconcile may mark one thing and then another.
 */
export function keepTransitionTimes(stored: readonly Condition[] | undefined, conditions: Condition[]): Condition[] {
  return conditions.map((condition) => {
    const before = stored?.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status && before.lastTransitionTime !== undefined;
    return isSame ? { ...condition, lastTransitionTime: before.lastTransitionTime ?? '' } : condition;
  });
}

/** Ready, and that about the newest spec. */
export const isReady = (object: WithStatus): boolean =>
  readyConditionOf(object)?.status === 'True' && object.status?.observedGeneration === object.metadata.generation;
