import type { Configuration } from '../../api/serving/configuration.ts';
import { annotations, labels } from '../../api/serving/names.ts';
import type { Revision } from '../../api/serving/revision.ts';
import type { GcConfig } from '../config/gc.ts';

export interface Collection {
  /** To be deleted now, the one longest unused first. */
  stale: Revision[];
  /** When another may be due, with nothing having changed; undefined when none will. */
  againAfterMs: number | undefined;
}

/**
 * Which revisions of a Configuration nobody needs any more (knative/serving, pkg/reconciler/gc/gc.go). Pure. Never one
 * that a Route sends to, the newest ready or newest made one, or one marked `serving.knative.dev/no-gc: "true"`.
 */
export function collect(
  configuration: Configuration,
  revisions: readonly Revision[],
  config: GcConfig,
  nowMs: number,
): Collection {
  const unused = revisions
    .filter((revision) => !isUsed(revision, configuration))
    .sort((a, b) => lastActiveMs(a) - lastActiveMs(b));

  const stale: Revision[] = [];
  let againAtMs = Number.POSITIVE_INFINITY;
  let left = unused.length;
  for (const revision of unused) {
    const isDue = left > config.minNonActive && dueMs(revision, config) <= nowMs;
    if (isDue || left > config.maxNonActive) {
      stale.push(revision);
      left--;
    } else if (left > config.minNonActive) againAtMs = Math.min(againAtMs, dueMs(revision, config));
  }
  return { stale, againAfterMs: againAtMs === Number.POSITIVE_INFINITY ? undefined : Math.max(1, againAtMs - nowMs) };
}

function isUsed({ metadata }: Revision, { status }: Configuration): boolean {
  return (
    metadata.deletionTimestamp !== undefined ||
    metadata.labels?.[labels.routingState] === 'active' ||
    metadata.annotations?.[annotations.noGc]?.toLowerCase() === 'true' ||
    metadata.name === status?.latestReadyRevisionName ||
    metadata.name === status?.latestCreatedRevisionName
  );
}

/** When both ages are reached; one that is disabled does not count, and without any nothing grows too old. */
function dueMs(revision: Revision, { retainSinceCreateMs, retainSinceLastActiveMs }: GcConfig): number {
  const ages = [
    ...(retainSinceCreateMs === undefined ? [] : [createdMs(revision) + retainSinceCreateMs]),
    ...(retainSinceLastActiveMs === undefined ? [] : [lastActiveMs(revision) + retainSinceLastActiveMs]),
  ];
  return ages.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...ages);
}

const createdMs = ({ metadata }: Revision): number => Date.parse(metadata.creationTimestamp ?? '') || 0;

const lastActiveMs = (revision: Revision): number =>
  Date.parse(revision.metadata.annotations?.[annotations.routingStateModified] ?? '') || createdMs(revision);
