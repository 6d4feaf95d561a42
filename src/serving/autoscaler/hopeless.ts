import type { Deployment } from '../../api/apps/deployment.ts';
import { conditionOf } from '../../api/meta.ts';
import { annotations, labels } from '../../api/serving/names.ts';
import type { Revision } from '../../api/serving/revision.ts';

/** After a container was found not to listen, it has this much longer, unless the revision asks for more time. */
export const lastChanceMs = 15_000;

/**
 * Whether a revision none of whose pods is ready will not come up, so that they are ended rather than left to crash or
 * spin until the progress deadline:
 *
 *     has failed, and a newer revision took its place (no Route sends to it): at once
 *     never came up, and does not listen:                                     after a last chance
 *
 * The newest revision may crash for longer: what it needs may come up after it, and restarts come further and further
 * apart. One that needs long to listen says so, by a startup probe or a progress deadline of its own.
 */
export function isHopeless(revision: Revision, deployment: Deployment, isInitialized: boolean, nowMs: number): boolean {
  if ((deployment.status?.readyReplicas ?? 0) > 0) return false;
  const healthy = conditionOf(revision, 'ContainerHealthy');
  const hasFailed = healthy?.status === 'False' || conditionOf(revision, 'ResourcesAvailable')?.status === 'False';
  if (!hasFailed) return false;
  if (revision.metadata.labels?.[labels.routingState] === 'reserve') return true;
  if (isInitialized || healthy?.status !== 'False' || healthy.reason !== 'NotListening') return false;
  const failedAtMs = Date.parse(healthy.lastTransitionTime ?? '');
  return !asksForTime(revision) && nowMs - failedAtMs >= lastChanceMs;
}

const asksForTime = ({ metadata, spec }: Revision): boolean =>
  metadata.annotations?.[annotations.progressDeadline] !== undefined ||
  spec.containers.some((container) => container.startupProbe !== undefined);
