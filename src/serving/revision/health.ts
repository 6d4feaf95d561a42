import type { Deployment } from '../../api/apps/deployment.ts';
import type { ContainerStatus, Pod } from '../../api/core/pod.ts';
import type { Condition } from '../../api/meta.ts';
import { annotations } from '../../api/serving/names.ts';

/** What is wrong with a revision's pods; `condition` is the one of the revision's that says it. */
export interface Ailment {
  condition: 'ContainerHealthy' | 'ResourcesAvailable';
  status: 'False' | 'Unknown';
  reason: string;
  message: string;
}

export interface Diagnosis {
  ailment?: Ailment;
  /** When, in ms from now, the same pods would be judged otherwise, with nothing having changed. */
  againAfterMs?: number;
}

/** A container that runs this long without being ready is named in the conditions, … */
const slowAfterMs = 5_000;
/** … and this long, it has failed (sooner when the revision's progress deadline is sooner). */
const failedAfterMs = 30_000;

/** Waiting for these is not a failure. */
const ordinaryWaits = new Set(['', 'ContainerCreating', 'PodInitializing', 'CrashLoopBackOff']);

/**
 * Why none of the pods is ready, from their statuses: an exit is known at once, an image that cannot be pulled as well,
 * and a container that never listens after seconds, rather than after the progress deadline of ten minutes.
 */
export function diagnose(
  pods: readonly Pod[],
  context: { port: number; progressDeadlineMs: number; nowMs: number },
): Diagnosis {
  // One pod speaks for all: they run the same thing. The newest is what is being tried now.
  const pod = pods.filter((p) => !p.metadata.deletionTimestamp).sort(byAge)[0];
  if (!pod) return {};
  const scheduled = pod.status?.conditions?.find((c) => c.type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    return ailing('ResourcesAvailable', 'False', scheduled.reason ?? 'Unschedulable', scheduled.message ?? '');
  }
  for (const container of pod.status?.containerStatuses ?? []) {
    const found = diagnoseContainer(container, context);
    if (found) return found;
  }
  return {};
}

/** What the Deployment says of itself: False when it cannot make progress or cannot make pods. */
export function deploymentCondition(deployment: Deployment): Pick<Condition, 'status' | 'reason' | 'message'> {
  const conditions = deployment.status?.conditions ?? [];
  const failure = conditions.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
  if (failure) return { ...pick(failure), status: 'False' };
  const progressing = conditions.find((c) => c.type === 'Progressing');
  if (progressing?.status === 'False') return pick(progressing);
  return { status: progressing?.status === 'True' ? 'True' : 'Unknown', reason: 'Deploying', message: '' };
}

const exitedWell =
  'container exited with no error: a server listens on the port in PORT and stays, a function exports "handle"';

function diagnoseContainer(
  container: ContainerStatus,
  { port, progressDeadlineMs, nowMs }: { port: number; progressDeadlineMs: number; nowMs: number },
): Diagnosis | undefined {
  const ended = container.state?.terminated ?? container.lastState?.terminated;
  if (ended) {
    const said = ended.message?.trim() || (ended.exitCode === 0 ? exitedWell : ended.reason || 'no output');
    return ailing('ContainerHealthy', 'False', `ExitCode${ended.exitCode}`, `Container failed with: ${said}`);
  }
  const waiting = container.state?.waiting;
  if (waiting && !ordinaryWaits.has(waiting.reason ?? '')) {
    return ailing('ResourcesAvailable', 'False', waiting.reason ?? '', waiting.message ?? '');
  }
  const startedAt = container.state?.running?.startedAt;
  if (!startedAt || container.ready) return undefined;

  const runningMs = nowMs - Date.parse(startedAt);
  const deadlineMs = Math.min(failedAfterMs, progressDeadlineMs);
  const slowMs = Math.min(slowAfterMs, deadlineMs);
  if (runningMs < slowMs) return { againAfterMs: slowMs - runningMs };
  const seconds = Math.floor(runningMs / 1000);
  if (runningMs < deadlineMs) {
    return {
      ...ailing('ContainerHealthy', 'Unknown', 'NotListening', notListening(container.name, port, seconds)),
      againAfterMs: deadlineMs - runningMs,
    };
  }
  // The seconds stay what they were, or the condition would change with each look at it.
  const message =
    `${notListening(container.name, port, deadlineMs / 1000)}; ` +
    `when it needs longer, say so with the annotation ${annotations.progressDeadline}`;
  return ailing('ContainerHealthy', 'False', 'NotListening', message);
}

const notListening = (name: string, port: number, seconds: number): string =>
  `Container "${name}" has run for ${seconds} s without becoming ready: it must listen on the port in the ` +
  `environment variable PORT (${port} unless the platform maps it) and pass its readiness probe`;

const ailing = (
  condition: Ailment['condition'],
  status: Ailment['status'],
  reason: string,
  message: string,
): Diagnosis => ({ ailment: { condition, status, reason, message } });

const pick = ({ status, reason, message }: Condition) => ({ status, reason: reason ?? '', message: message ?? '' });

const byAge = (a: Pod, b: Pod): number =>
  (b.metadata.creationTimestamp ?? '').localeCompare(a.metadata.creationTimestamp ?? '');
