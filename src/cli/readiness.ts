import { type Condition, conditionOf } from '../api/meta.ts';
import type { Configuration } from '../api/serving/configuration.ts';
import type { Service } from '../api/serving/service.ts';
import { sameJson } from '../lib/same-json.ts';

/** What is read of a service at one moment. */
export interface Observation {
  service: Service;
  /** Of the same name, read after the service. */
  configuration: Configuration | undefined;
  atMs: number;
}

export type Verdict =
  | { type: 'under-way' }
  | { type: 'ready'; url: string; revision: string }
  /** It may pass: look again at `againAtMs`. */
  | { type: 'doubtful'; why: string; sinceMs: number; againAtMs: number }
  | { type: 'failed'; why: string };

/** A state that passes does so within milliseconds; one that is still there after this stays. */
export const settleMs = 5_000;

/**
 * Whether a service has become what was asked for. A Service reports what its Configuration and its Route said
 * last, and these speak of what they saw: after a change there are moments when a failure (or a success) of the
 * revision before stands in a status that is of the newest generation already.
 *
 *   Service  gen 2 ─▶ Configuration  gen 2 ─▶ Revision 00002 ─▶ ready
 *      ▲                                                          │
 *      └──────── Route: still "no revision is ready" (00001) ◀────┘ later
 *
 * So only the Configuration is believed at once, and only when it has the template that the Service has and has looked
 * at it: it speaks of the newest revision. Any other failure is believed when it has lasted: `before` is the verdict
 * on the observation before this one.
 */
export function judge({ service, configuration, atMs }: Observation, before?: Verdict): Verdict {
  if (!isObserved(service)) return { type: 'under-way' };
  const newest = configuration && isWanted(service, configuration) && isObserved(configuration);
  const made = newest ? readyOf(configuration) : undefined;
  if (made?.status === 'False') return { type: 'failed', why: wordsOf(made) };
  const ready = readyOf(service);
  if (ready?.status === 'True') {
    const revision = configuration?.status?.latestCreatedRevisionName;
    if (made?.status !== 'True' || revision === undefined) return { type: 'under-way' };
    return { type: 'ready', url: service.status?.url ?? '', revision };
  }
  if (ready?.status !== 'False' || (newest && made?.status !== 'True')) return { type: 'under-way' };
  const why = wordsOf(ready);
  const sinceMs = before?.type === 'doubtful' && before.why === why ? before.sinceMs : atMs;
  if (atMs - sinceMs >= settleMs) return { type: 'failed', why };
  return { type: 'doubtful', why, sinceMs, againAtMs: sinceMs + settleMs };
}

/** Whether the Configuration has what the Service asks for now: it is behind until the Service has been reconciled. */
export function isWanted({ spec }: Service, { spec: made }: Configuration): boolean {
  return sameJson(spec.template, made.template) && sameJson(spec.build ?? null, made.build ?? null);
}

type Observed = Service | Configuration;
export const isObserved = ({ status, metadata }: Observed) => status?.observedGeneration === metadata.generation;
const readyOf = (object: Observed) => conditionOf(object, 'Ready');
const wordsOf = ({ reason, message }: Condition) => [reason, message].filter(Boolean).join(': ');
