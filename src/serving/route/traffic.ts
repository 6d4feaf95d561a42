import type { Condition } from '../../api/meta.ts';
import type { Configuration } from '../../api/serving/configuration.ts';
import { labels } from '../../api/serving/names.ts';
import type { Revision } from '../../api/serving/revision.ts';
import type { Route } from '../../api/serving/route.ts';
import type { TrafficTarget } from '../../api/serving/traffic.ts';
import { isReady, readyConditionOf } from '../ready.ts';

/** A share of a Route's traffic with its revision found. */
export interface ResolvedTarget {
  tag?: string;
  revisionName: string;
  latestRevision: boolean;
  percent: number;
}

/** Why traffic cannot be assigned: False is a failure, Unknown may yet come right. */
export interface TrafficProblem {
  status: Extract<Condition['status'], 'False' | 'Unknown'>;
  reason: string;
  message: string;
}

export type ResolvedTraffic = { targets: ResolvedTarget[] } | { problem: TrafficProblem };

/** Where objects of the Route's namespace are looked up. */
export interface Targets {
  configuration(name: string): Configuration | undefined;
  revision(name: string): Revision | undefined;
}

/** Finds the revision of each share. All must be ready: then traffic moves as a whole, or not at all. */
export function resolveTraffic(route: Route, targets: Targets): ResolvedTraffic {
  const resolved: ResolvedTarget[] = [];
  let problem: TrafficProblem | undefined;
  for (const target of route.spec.traffic ?? []) {
    const found = resolveTarget(route, target, targets);
    if ('problem' in found) {
      // A failure says more than something that is only late.
      if (!problem || (problem.status === 'Unknown' && found.problem.status === 'False')) problem = found.problem;
    } else resolved.push(found.target);
  }
  return problem ? { problem } : { targets: resolved };
}

type Found = { target: ResolvedTarget } | { problem: TrafficProblem };

function resolveTarget(route: Route, target: TrafficTarget, targets: Targets): Found {
  const name = target.revisionName || undefined;
  if (name !== undefined) return resolveRevision(route, target, name, targets);
  const configurationName = target.configurationName ?? '';
  const configuration = targets.configuration(configurationName);
  if (!configuration) return missing('Configuration', configurationName);
  const latest = configuration.status?.latestReadyRevisionName;
  if (!latest) {
    return readyConditionOf(configuration)?.status === 'False'
      ? failure('RevisionMissing', `Configuration "${configurationName}" does not have any ready Revision.`)
      : pending(`Configuration "${configurationName}" is waiting for a Revision to become ready.`);
  }
  return check(target, latest, targets);
}

function resolveRevision(route: Route, target: TrafficTarget, name: string, targets: Targets): Found {
  const service = route.metadata.labels?.[labels.service];
  const revision = targets.revision(name);
  const owner = revision?.metadata.labels?.[labels.service];
  if (revision && service && owner !== service) {
    return failure(
      'RevisionNotOwned',
      owner === undefined
        ? `Revision "${name}" does not belong to Service "${service}".`
        : `Revision "${name}" belongs to Service "${owner}", not Service "${service}".`,
    );
  }
  return check(target, name, targets);
}

function check(target: TrafficTarget, name: string, targets: Targets): Found {
  const revision = targets.revision(name);
  if (!revision) return missing('Revision', name);
  if (!isReady(revision)) {
    return readyConditionOf(revision)?.status === 'False'
      ? failure('RevisionMissing', `Revision "${name}" failed to become ready.`)
      : pending(`Revision "${name}" is not yet ready.`);
  }
  return {
    target: {
      ...(target.tag ? { tag: target.tag } : {}),
      revisionName: name,
      latestRevision: target.latestRevision ?? false,
      percent: target.percent ?? 0,
    },
  };
}

const missing = (kind: string, name: string): Found =>
  failure(`${kind}Missing`, `${kind} "${name}" referenced in traffic not found.`);
const failure = (reason: string, message: string): Found => ({ problem: { status: 'False', reason, message } });
const pending = (message: string): Found => ({ problem: { status: 'Unknown', reason: 'RevisionMissing', message } });
