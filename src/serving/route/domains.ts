import { clusterDomain } from '../../api/names.ts';
import { clusterLocal, visibilityLabel } from '../../api/networking/ingress.ts';
import type { Route } from '../../api/serving/route.ts';
import { type DomainConfig, domainFor } from '../config/domain.ts';

/** Under which hosts a Route, or one of its tags, is reached. */
export interface Hosts {
  /** Absent when the Route is cluster-local. */
  external?: string;
  /** All spellings that work inside, the full one first. */
  internal: string[];
}

/** `tag` undefined is the Route itself; a tag's name is `<tag>-<route>`. */
export function hostsOf(route: Route, tag: string | undefined, domains: DomainConfig): Hosts {
  const name = tag === undefined ? route.metadata.name : `${tag}-${route.metadata.name}`;
  const qualified = `${name}.${route.metadata.namespace ?? 'default'}`;
  const internal = [`${qualified}.${clusterDomain}`, `${qualified}.svc`, qualified];
  const domain = isClusterLocal(route) ? undefined : domainFor(domains, route.metadata.labels);
  return domain === undefined || domain === clusterDomain
    ? { internal }
    : { external: `${qualified}.${domain}`, internal };
}

const isClusterLocal = (route: Route): boolean => route.metadata.labels?.[visibilityLabel] === clusterLocal;

/** What a client outside types; the port is left out when it is the scheme's own. */
export function urlOf(hosts: Hosts, gatewayPort: number): string {
  if (hosts.external === undefined) return internalUrlOf(hosts);
  return `http://${hosts.external}${gatewayPort === 80 ? '' : `:${gatewayPort}`}`;
}

export const internalUrlOf = (hosts: Hosts): string => `http://${hosts.internal[0]}`;
