import { type ContainerStatus, isPodReady, isPodTerminal, type Pod } from '../../../api/core/pod.ts';
import { ageText } from '../http/table/age.ts';

export interface PodSummary {
  /** `1/2`: containers ready, of all. */
  ready: string;
  /** One word on what the pod does, or what keeps it from it: `Running`, `CrashLoopBackOff`, `Init:0/1`. */
  status: string;
  /** `3 (5m ago)`. */
  restarts: string;
}

/** What `kubectl get pods` says of a pod; the words are those of Kubernetes' own printer. */
export function summarizePod(pod: Pod, nowMs: number): PodSummary {
  const statuses = pod.status?.containerStatuses ?? [];
  const inits = pod.status?.initContainerStatuses ?? [];
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const ofSidecars = inits.filter(({ name }) => sidecars.includes(name));
  const found = initStatus(pod, inits, sidecars);
  // Once it was initialized, what becomes of its sidecars is no initialization.
  const init = isInitialized(pod) ? undefined : found;
  const ready = [
    ...ofSidecars.filter((each) => each.started && each.ready),
    ...(init === undefined ? statuses.filter((each) => each.ready && each.state?.running) : []),
  ];
  return {
    ready: `${ready.length}/${pod.spec.containers.length + sidecars.length}`,
    status: terminating(pod) ?? init ?? containersStatus(pod, statuses),
    restarts: restartsText(init === undefined ? [...ofSidecars, ...statuses] : inits, nowMs),
  };
}

const isSidecar = ({ restartPolicy }: { restartPolicy?: string }) => restartPolicy === 'Always';
const isInitialized = ({ status }: Pod) =>
  status?.conditions?.some(({ type, status: is }) => type === 'Initialized' && is === 'True') ?? false;

function terminating(pod: Pod): string | undefined {
  if (pod.metadata.deletionTimestamp === undefined || isPodTerminal(pod)) return undefined;
  return pod.status?.reason === 'NodeLost' ? 'Unknown' : 'Terminating';
}

/** The first init container that has not done its work says what the pod waits for. */
function initStatus(pod: Pod, statuses: readonly ContainerStatus[], sidecars: readonly string[]): string | undefined {
  const total = pod.spec.initContainers?.length ?? 0;
  for (const [i, { name, started, state }] of statuses.entries()) {
    if (state?.terminated?.exitCode === 0 || (started && sidecars.includes(name))) continue;
    if (state?.terminated) return `Init:${endText(state.terminated)}`;
    const reason = state?.waiting?.reason;
    return reason && reason !== 'PodInitializing' ? `Init:${reason}` : `Init:${i}/${total}`;
  }
  return undefined;
}

/** What a pod that waits for its gates says of itself. */
const gatedReason = 'SchedulingGated';

function containersStatus(pod: Pod, statuses: readonly ContainerStatus[]): string {
  const gated = pod.status?.conditions?.find(({ type, reason }) => type === 'PodScheduled' && reason === gatedReason);
  let status = gated?.reason ?? pod.status?.reason ?? pod.status?.phase ?? 'Unknown';
  let isAnyRunning = false;
  // From the last to the first, so that the first container that has something to say is heard.
  for (const { ready, state } of statuses.toReversed()) {
    if (state?.waiting?.reason) status = state.waiting.reason;
    else if (state?.terminated) status = endText(state.terminated);
    else if (ready && state?.running) isAnyRunning = true;
  }
  if (status === 'Completed' && isAnyRunning) return isPodReady(pod) ? 'Running' : 'NotReady';
  return status;
}

function endText({ exitCode, reason, signal }: { exitCode: number; reason?: string; signal?: number }): string {
  return reason || (signal ? `Signal:${signal}` : `ExitCode:${exitCode}`);
}

function restartsText(statuses: readonly ContainerStatus[], nowMs: number): string {
  const count = statuses.reduce((sum, status) => sum + status.restartCount, 0);
  const ends = statuses.flatMap((status) => status.lastState?.terminated?.finishedAt ?? []).sort();
  const last = ends.at(-1);
  return count === 0 || last === undefined ? `${count}` : `${count} (${ageText(last, nowMs)} ago)`;
}

/** How many of the pod's readiness gates are open, of how many. */
export function readinessGates(pod: Pod): string | undefined {
  const gates = pod.spec.readinessGates ?? [];
  if (gates.length === 0) return undefined;
  const isTrue = (type: string) => pod.status?.conditions?.some((c) => c.type === type && c.status === 'True');
  return `${gates.filter((gate) => isTrue(gate.conditionType)).length}/${gates.length}`;
}
