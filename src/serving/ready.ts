import type { Condition, Conditioned, KubeObject } from '../api/meta.ts';

type WithStatus = KubeObject & { status?: Conditioned };

export const readyConditionOf = (object: WithStatus): Condition | undefined => conditionOf(object, 'Ready');

export const conditionOf = (object: WithStatus, type: string): Condition | undefined =>
  object.status?.conditions?.find((condition) => condition.type === type);

/** Ready, and that about the newest spec. */
export const isReady = (object: WithStatus): boolean =>
  readyConditionOf(object)?.status === 'True' && object.status?.observedGeneration === object.metadata.generation;
