import type { CoreService } from '../../api/core/service.ts';
import type { Key } from '../../api/meta.ts';
import { labels } from '../../api/serving/names.ts';
import type { Revision } from '../../api/serving/revision.ts';
import { defaultRequestLimits, type Limits, type Problem, type Target } from './change.ts';
import { reportOf } from './problems.ts';

/** The limits of the revision whose Service this is, as Serving says on it; Knative's defaults for any other. */
export function limitsOf(
  { metadata }: CoreService,
  revisionAt: (key: Key) => Revision | undefined,
  problems: Problem[],
): Limits & Pick<Target, 'revision'> {
  const name = metadata.labels?.[labels.revision];
  if (name === undefined) return { ...defaultRequestLimits, revision: undefined };
  const revision = revisionAt({ namespace: metadata.namespace ?? '', name });
  // It is routed to as soon as its Service is here; its limits follow.
  return { ...(revision ? limitsIn(revision, problems) : defaultRequestLimits), revision: name };
}

/** What a revision's spec says of its requests. */
function limitsIn(revision: Revision, problems: Problem[]): Limits {
  const { spec } = revision;
  const report = reportOf('Revision', revision, 'spec', problems);
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
    timeoutMs: amount('timeoutSeconds', 0) * 1000 || defaultRequestLimits.timeoutMs,
    responseStartTimeoutMs: amount('responseStartTimeoutSeconds', 0) * 1000,
    idleTimeoutMs: amount('idleTimeoutSeconds', 0) * 1000,
  };
}
