import { type Condition, type Conditioned, conditionOf, type KubeObject } from '../api/meta.ts';

type WithStatus = KubeObject & { status?: Conditioned };

export const readyConditionOf = (object: WithStatus): Condition | undefined => conditionOf(object, 'Ready');

/** Ready, and that about the newest spec. */
export const isReady = (object: WithStatus): boolean =>
  readyConditionOf(object)?.status === 'True' && object.status?.observedGeneration === object.metadata.generation;
