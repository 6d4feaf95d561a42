import {
  type ContainerState,
  type ContainerStatus,
  type Pod,
  type PodPhase,
  type PodStatus,
  qosClassOf,
} from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { timestamp } from '../../../api/meta.ts';
import type { PodAddresses } from '../driver.ts';
import { conditionsOf, hasBegun, isDone } from './conditions.ts';
import type { Host } from './environment.ts';

/**
 * A sidecar is an init container that goes on running (`restartPolicy: Always`), an ephemeral one was added to a pod
 * that runs, and concerns nobody else.
 */
export type ContainerRole = 'init' | 'sidecar' | 'main' | 'ephemeral';

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
  ephemeral?: readonly ContainerView[];
  startedAtMs: number;
  /** Undefined when it could not be given any. */
  addresses: Pick<PodAddresses, 'ips'> | undefined;
  /** Why the pod failed as a whole, for example its deadline. */
  failure: { reason: string; message: string } | undefined;
  /** It was deleted, and nothing of it runs any more, nor will. */
  isOver?: boolean;
}

/** The status that says what `view` says: pure; times of transitions are kept where nothing changed. */
export function podStatusOf(pod: Pod, seen: PodView, nowMs: number, host: Pick<Host, 'address'>): PodStatus {
  const view = seen.isOver ? { ...seen, ...withEnds(seen) } : seen;
  const phase = view.failure ? 'Failed' : phaseOf(pod, view);
  const conditions = conditionsOf(pod, view, phase, timestamp(nowMs));
  const { generation } = pod.metadata;
  const status: PodStatus = {
    ...pod.status,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions,
    hostIP: host.address,
    hostIPs: [{ ip: host.address }],
    startTime: pod.status?.startTime ?? timestamp(view.startedAtMs),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod.spec),
    containerStatuses: view.main.map(containerStatusOf).sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
  if (view.addresses) {
    const { ips } = view.addresses;
    Object.assign(status, { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) });
  }
  if (view.init.length > 0) status.initContainerStatuses = view.init.map(containerStatusOf);
  if (view.ephemeral?.length) status.ephemeralContainerStatuses = view.ephemeral.map(containerStatusOf);
  if (view.failure) Object.assign(status, view.failure);
  return status;
}

/** As Kubernetes' kubelet decides it (pkg/kubelet, getPhase): what runs, waits, or has ended for good. */
export function phaseOf(pod: Pick<Pod, 'spec'>, view: Pick<PodView, 'init' | 'main' | 'isOver'>): PodPhase {
  const { init, main, isOver } = view;
  if (isOver && main.length === 0) return 'Failed'; // It was never run.
  if (isOver) return main.every((c) => c.state.terminated?.exitCode === 0) ? 'Succeeded' : 'Failed';
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

/** What a container that never ran, or of which nobody knows, is said to have come to when its pod is over. */
function withEnds({ init, main }: PodView): Pick<PodView, 'init' | 'main'> {
  const message = 'The container could not be located when the pod was terminated';
  const terminated = { exitCode: 137, reason: 'ContainerStatusUnknown', message };
  const ended = (c: ContainerView): ContainerView =>
    c.state.terminated ? c : { ...c, state: { terminated }, isReady: false, isStarted: false };
  // Of the init containers, those after the last that ran were not due yet.
  const lastRun = init.findLastIndex((c) => c.state.terminated ?? c.state.running ?? c.lastState);
  return { init: init.map((c, i) => (i <= lastRun ? ended(c) : c)), main: init.every(isDone) ? main.map(ended) : main };
}

function containerStatusOf(view: ContainerView): ContainerStatus {
  const { container, state, lastState, role } = view;
  const status: ContainerStatus = {
    name: container.name,
    image: container.image ?? '',
    imageID: view.imageId,
    ready: view.isReady && role !== 'ephemeral',
    started: view.isStarted && role !== 'ephemeral',
    restartCount: view.restartCount,
    state,
    lastState: lastState ?? {},
  };
  if (view.containerId !== undefined) status.containerID = view.containerId;
  const { limits, requests } = container.resources ?? {};
  if ((limits ?? requests) !== undefined && (state.waiting === undefined || lastState !== undefined)) {
    status.resources = { ...(limits && { limits }), ...(requests && { requests }) };
    if (requests) status.allocatedResources = requests;
  }
  if (container.volumeMounts?.length) {
    status.volumeMounts = container.volumeMounts.map(({ name, mountPath, readOnly }) =>
      readOnly ? { name, mountPath, readOnly, recursiveReadOnly: 'Disabled' } : { name, mountPath },
    );
  }
  return status;
}
