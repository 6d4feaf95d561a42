import { apiVersionOf } from '../../../api/kind.ts';
import {
  type Ingress,
  IngressKind,
  type IngressRule,
  type IngressSplit,
  type IngressVisibility,
  ingressClassAnnotation,
  kittiwakeIngressClass,
} from '../../../api/networking/ingress.ts';
import { labels } from '../../../api/serving/names.ts';
import type { Route } from '../../../api/serving/route.ts';
import { inheritedMetadata } from '../../child-metadata.ts';
import type { DomainConfig } from '../../config/domain.ts';
import { serviceName, servicePort } from '../../revision/resources/names.ts';
import { hostsOf } from '../domains.ts';
import type { ResolvedTarget } from '../traffic.ts';

/** What the gateway must serve for a Route: its own hosts by percent, and each tag's hosts whole. */
export function makeIngress(route: Route, targets: readonly ResolvedTarget[], domains: DomainConfig): Ingress {
  const { name, namespace } = route.metadata;
  const inherited = inheritedMetadata(route);
  return {
    apiVersion: apiVersionOf(IngressKind),
    kind: IngressKind.kind,
    metadata: {
      ...inherited,
      labels: { ...inherited.labels, [labels.route]: name, [labels.routeNamespace]: namespace ?? '' },
      annotations: { ...inherited.annotations, [ingressClassAnnotation]: kittiwakeIngressClass },
    },
    spec: { rules: makeRules(route, targets, domains), httpOption: 'Enabled' },
  };
}

function makeRules(route: Route, targets: readonly ResolvedTarget[], domains: DomainConfig): IngressRule[] {
  const tags = [...new Set(targets.flatMap(({ tag }) => (tag === undefined ? [] : [tag])))].sort();
  return [undefined, ...tags].flatMap((tag) => {
    const hosts = hostsOf(route, tag, domains);
    // A tag's own address always has all of the tag's revision, whatever its share of the Route is.
    const splits =
      tag === undefined
        ? makeSplits(route, targets)
        : makeSplits(route, targets.filter((target) => target.tag === tag).slice(0, 1), 100);
    return [
      makeRule(hosts.internal, 'ClusterLocal', splits),
      ...(hosts.external === undefined ? [] : [makeRule([hosts.external], 'ExternalIP', splits)]),
    ];
  });
}

const makeRule = (hosts: string[], visibility: IngressVisibility, splits: IngressSplit[]): IngressRule => ({
  hosts,
  visibility,
  http: { paths: [{ splits }] },
});

/** One split for each revision that gets requests: shares of the same revision add up. */
function makeSplits(route: Route, targets: readonly ResolvedTarget[], all?: number): IngressSplit[] {
  const percents = new Map<string, number>();
  for (const { revisionName, percent } of targets) {
    percents.set(revisionName, (percents.get(revisionName) ?? 0) + (all ?? percent));
  }
  const namespace = route.metadata.namespace ?? 'default';
  return [...percents]
    .filter(([, percent]) => percent > 0)
    .map(([revision, percent]) => ({
      serviceNamespace: namespace,
      serviceName: serviceName({ metadata: { name: revision } }),
      servicePort,
      percent,
      appendHeaders: { 'Knative-Serving-Revision': revision, 'Knative-Serving-Namespace': namespace },
    }));
}
