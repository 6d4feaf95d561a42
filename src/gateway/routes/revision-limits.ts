import type { CoreService } from '../../api/core/service.ts';
import { labels } from '../../api/serving/names.ts';
import type { Revision } from '../../api/serving/revision.ts';
import { defaultLimits, type Limits } from './change.ts';
import type { Report } from './problems.ts';

/** The name of the revision whose Service this is, as Serving says on it. */
export const revisionOf = ({ metadata }: CoreService): string | undefined => metadata.labels?.[labels.revision];

/** What a revision's spec says of its requests; `report` hears of what is no number. */
export function limitsOf({ spec }: Revision, report: Report): Limits {
  const amount = (field: keyof Revision['spec'], otherwise: number): number => {
    const value: unknown = spec?.[field];
    if (value === undefined) return otherwise;
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
    report(`${field} is no number of 0 or more`, -1);
    return otherwise;
  };
  return {
    containerConcurrency: amount('containerConcurrency', 0),
    // 0 stands for the default (Knative's RevisionSpec.SetDefaults).
    timeoutMs: amount('timeoutSeconds', 0) * 1000 || defaultLimits.timeoutMs,
    responseStartTimeoutMs: amount('responseStartTimeoutSeconds', 0) * 1000,
    idleTimeoutMs: amount('idleTimeoutSeconds', 0) * 1000,
  };
}
