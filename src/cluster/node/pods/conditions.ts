import type { Pod, PodPhase } from '../../../api/core/pod.ts';
import type { Condition } from '../../../api/meta.ts';
import { dated } from '../../../kube/conditions.ts';
import type { ContainerView, PodView } from './status.ts';

/** What a condition says; where it is not True, why. */
interface Finding {
  isTrue: boolean;
  reason?: string;
  message?: string;
}

/** The conditions that kubelet keeps (pkg/kubelet/status/generate.go), then others', such as readiness gates'. */
export function conditionsOf(
  pod: Pod,
  view: Pick<PodView, 'init' | 'main' | 'addresses'>,
  phase: PodPhase,
  now: string,
): Condition[] {
  const old = pod.status?.conditions ?? [];
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const containersReady = containersReadiness(view, phase);
  const findings: Record<string, Finding> = {
    PodReadyToStartContainers: { isTrue: !isOver && view.addresses !== undefined },
    Initialized: initialized(view, phase),
    Ready: containersReady.isTrue ? gatesReadiness(pod, old) : containersReady,
    ContainersReady: containersReady,
    PodScheduled: { isTrue: true },
  };
  const { generation } = pod.metadata;
  const ours = Object.entries(findings).map(([type, { isTrue, reason, message }]) => ({
    ...dated<Condition>({ type, status: isTrue ? 'True' : 'False' }, old, now),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...(reason && { reason }),
    ...(message && { message }),
  }));
  return [...ours, ...old.filter(({ type }) => !Object.hasOwn(findings, type))];
}

function initialized({ init, main }: Pick<PodView, 'init' | 'main'>, phase: PodPhase): Finding {
  if (phase === 'Succeeded') return { isTrue: true, reason: 'PodCompleted' };
  if (hasBegun(main) || init.every(isDone)) return { isTrue: true };
  const message = `containers with incomplete status: ${namesOf(init.filter((c) => !isDone(c)))}`;
  return { isTrue: false, reason: 'ContainersNotInitialized', message };
}

function containersReadiness({ init, main }: Pick<PodView, 'init' | 'main'>, phase: PodPhase): Finding {
  if (phase === 'Succeeded') return { isTrue: false, reason: 'PodCompleted' };
  if (phase === 'Failed') return { isTrue: false, reason: 'PodFailed' };
  const unready = [...init.filter((c) => c.role === 'sidecar'), ...main].filter((c) => !c.isReady);
  if (unready.length === 0) return { isTrue: init.every(isDone) || hasBegun(main) };
  return {
    isTrue: false,
    reason: 'ContainersNotReady',
    message: `containers with unready status: ${namesOf(unready)}`,
  };
}

function gatesReadiness(pod: Pod, conditions: readonly Condition[]): Finding {
  const missing = (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const found = conditions.find(({ type }) => type === conditionType);
    if (!found) return `corresponding condition of pod readiness gate "${conditionType}" does not exist.`;
    if (found.status === 'True') return [];
    return `the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`;
  });
  if (missing.length === 0) return { isTrue: true };
  return { isTrue: false, reason: 'ReadinessGatesNotReady', message: missing.join(', ') };
}

const namesOf = (views: readonly ContainerView[]) => `[${views.map((c) => c.container.name).join(' ')}]`;

/** Whether the next container may start: an init container has ended well, a sidecar has started. */
export const isDone = ({ role, state, isStarted }: ContainerView): boolean =>
  role === 'sidecar' ? isStarted : state.terminated?.exitCode === 0;

/** Once a main container has run, the pod stays initialized, whatever becomes of its sidecars. */
export const hasBegun = (main: readonly ContainerView[]): boolean =>
  main.some((c) => c.state.running ?? c.state.terminated ?? c.lastState);
