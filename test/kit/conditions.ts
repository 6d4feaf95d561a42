import type { Condition, KubeObject } from '../../src/api/meta.ts';

type WithStatus = KubeObject & { status?: { conditions?: Condition[]; observedGeneration?: number } };

export function conditionOf(object: WithStatus | undefined, type: string): Condition | undefined {
  return object?.status?.conditions?.find((condition) => condition.type === type);
}

/** Whether the object's newest generation is Ready. */
export function isReady(object: WithStatus | undefined): boolean {
  return (
    object?.status?.observedGeneration === object?.metadata.generation &&
    conditionOf(object, 'Ready')?.status === 'True'
  );
}
