import {
  type ContainerState,
  type ContainerStatus,
  type Pod,
  type PodPhase,
  type PodStatus,
  qosClassOf,
} from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { type Condition, timestamp } from '../../../api/meta.ts';
import { dated } from '../../../kube/conditions.ts';
import type { PodAddresses } from '../driver.ts';
import type { Host } from './environment.ts';

/** A sidecar is an init container that goes on running (`restartPolicy: Always`). */
export type ContainerRole = 'init' | 'sidecar' | 'main';

/** What the agent knows of one container of a pod. */
export interface ContainerView {
  container: Container;
  role: ContainerRole;
  imageId: string;
  containerId: string | undefined;
  state: ContainerState;
  lastState: ContainerState | undefined;
  restartCount: number;
  /** Its startup probe has passed (or it has none). */
  isStarted: boolean;
  isReady: boolean;
}

export interface PodView {
  init: readonly ContainerView[];
  main: readonly ContainerView[];
  startedAtMs: number;
  /** Undefined when it could not be given any. */
  addresses: Pick<PodAddresses, 'ips'> | undefined;
  /** Why the pod failed as a whole, for example its deadline. */
  failure: { reason: string; message: string } | undefined;
}

/** The status that says what `view` says: pure; times of transitions are kept where nothing changed. */
export function podStatusOf(pod: Pod, view: PodView, nowMs: number, host: Pick<Host, 'address'>): PodStatus {
  const phase = view.failure ? 'Failed' : phaseOf(pod, view);
  const isInitialized = hasBegun(view.main) || view.init.every(isDone);
  const working = [...view.init.filter((c) => c.role === 'sidecar'), ...view.main];
  const unready = working.filter((c) => !c.isReady).map((c) => c.container.name);
  const gates = (pod.spec.readinessGates ?? [])
    .map((gate) => gate.conditionType)
    .filter((type) => pod.status?.conditions?.find((c) => c.type === type)?.status !== 'True');
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const notReady = isOver
    ? { reason: 'PodCompleted', message: '' }
    : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const areContainersReady = unready.length === 0 && isInitialized && !isOver;
  const conditions = withConditions(pod.status?.conditions, timestamp(nowMs), [
    ['PodReadyToStartContainers', !isOver],
    [
      'Initialized',
      isInitialized,
      {
        reason: 'ContainersNotInitialized',
        message: `containers with incomplete status: [${view.init
          .filter((c) => !isDone(c))
          .map((c) => c.container.name)
          .join(' ')}]`,
      },
    ],
    [
      'Ready',
      areContainersReady && gates.length === 0,
      areContainersReady
        ? { reason: 'ReadinessGatesNotReady', message: `conditions that are not True: [${gates.join(' ')}]` }
        : notReady,
    ],
    ['ContainersReady', areContainersReady, notReady],
    ['PodScheduled', true],
  ]);
  const status: PodStatus = {
    ...pod.status,
    phase,
    conditions,
    hostIP: host.address,
    hostIPs: [{ ip: host.address }],
    startTime: pod.status?.startTime ?? timestamp(view.startedAtMs),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod.spec),
    containerStatuses: view.main.map(containerStatusOf),
  };
  if (view.addresses) {
    const { ips } = view.addresses;
    Object.assign(status, { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) });
  }
  if (view.init.length > 0) status.initContainerStatuses = view.init.map(containerStatusOf);
  if (view.failure) Object.assign(status, view.failure);
  return status;
}

/** As Kubernetes' kubelet decides it (pkg/kubelet, getPhase): what runs, waits, or has ended for good. */
export function phaseOf(pod: Pick<Pod, 'spec'>, { init, main }: Pick<PodView, 'init' | 'main'>): PodPhase {
  const policy = pod.spec.restartPolicy ?? 'Always';
  const failedInit = init.find((c) => c.role === 'init' && (c.state.terminated?.exitCode ?? 0) !== 0);
  if (failedInit && policy === 'Never') return 'Failed';
  if (!hasBegun(main) && !init.every(isDone)) return 'Pending';
  if (main.some((c) => c.state.running)) return 'Running';
  if (main.some((c) => c.state.waiting && !c.lastState)) return 'Pending';
  if (main.some((c) => c.state.waiting)) return 'Running'; // Between two runs.
  if (policy === 'Always') return 'Running';
  // Sidecars end when all others have: until then the pod is not over.
  if (init.some((c) => c.role === 'sidecar' && c.state.running)) return 'Running';
  const codes = main.map((c) => c.state.terminated?.exitCode ?? 0);
  if (codes.every((code) => code === 0)) return 'Succeeded';
  return policy === 'Never' ? 'Failed' : 'Running';
}

/** Whether the next container may start: an init container has ended well, a sidecar has started. */
const isDone = ({ role, state, isStarted }: ContainerView) =>
  role === 'sidecar' ? isStarted : state.terminated?.exitCode === 0;

/** Once a main container has run, the pod stays initialized, whatever becomes of its sidecars. */
const hasBegun = (main: readonly ContainerView[]) =>
  main.some((c) => c.state.running ?? c.state.terminated ?? c.lastState);

function containerStatusOf(view: ContainerView): ContainerStatus {
  const status: ContainerStatus = {
    name: view.container.name,
    image: view.container.image ?? '',
    imageID: view.imageId,
    ready: view.isReady,
    started: view.isStarted,
    restartCount: view.restartCount,
    state: view.state,
    lastState: view.lastState ?? {},
  };
  if (view.containerId !== undefined) status.containerID = view.containerId;
  return status;
}

/** `old` with these conditions set; others, such as readiness gates', are kept. */
function withConditions(
  old: readonly Condition[] | undefined,
  now: string,
  set: readonly [type: string, isTrue: boolean, why?: { reason: string; message: string }][],
): Condition[] {
  const ours = set.map(([type, isTrue, why]): Condition => {
    const condition = dated<Condition>({ type, status: isTrue ? 'True' : 'False' }, old, now);
    if (!isTrue && why) {
      condition.reason = why.reason;
      if (why.message !== '') condition.message = why.message;
    }
    return condition;
  });
  return [...ours, ...(old ?? []).filter((c) => !set.some(([type]) => type === c.type))];
}
