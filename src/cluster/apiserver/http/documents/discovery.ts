import { apiVersionOf } from '../../../../api/kind.ts';
import type { ServedResource } from '../../resources.ts';

/** A resource as discovery describes it, whether it is stored or only answered. */
export interface DiscoveredResource {
  group: string;
  version: string;
  kind: string;
  plural: string;
  singular: string;
  isNamespaced: boolean;
  verbs: readonly string[];
  shortNames: readonly string[];
  categories: readonly string[];
  subresources: readonly DiscoveredSubresource[];
}

export interface DiscoveredSubresource {
  name: string;
  group: string;
  version: string;
  kind: string;
  verbs: readonly string[];
}

/** Everything that a client can discover, from what is served now. */
export function discover(resources: readonly ServedResource[]): DiscoveredResource[] {
  return resources.map(discovered);
}

function discovered({ kind: { group, version, kind, ...names }, subresources, verbs }: ServedResource) {
  const own = { group, version, kind };
  const { categories, isNamespaced, plural, shortNames, singular } = names;
  return {
    ...own,
    plural,
    singular,
    isNamespaced,
    verbs,
    shortNames,
    categories,
    subresources: [...subresources].map(([name, { kind = own, verbs }]) => {
      return { name, group: kind.group, version: kind.version, kind: kind.kind, verbs };
    }),
  };
}

/** The versions of each group, groups in alphabetical order. */
export function versionsByGroup(resources: readonly DiscoveredResource[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { group, version } of resources.toSorted((a, b) => (a.group < b.group ? -1 : a.group > b.group ? 1 : 0))) {
    const versions = groups.get(group) ?? [];
    if (!versions.includes(version)) versions.push(version);
    groups.set(group, versions.sort(byPriority));
  }
  return groups;
}

/** `v2`, `v1`, `v1beta2`, `v1alpha1`, then others by name (Kubernetes' version priority). */
export function byPriority(a: string, b: string): number {
  const [x, y] = [rank(a), rank(b)];
  for (let i = 0; i < 3; i++) {
    const difference = (y[i] ?? 0) - (x[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(version: string): [stability: number, major: number, minor: number] {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (!match) return [0, 0, 0];
  const stability = match[2] === undefined ? 3 : match[2] === 'beta' ? 2 : 1;
  return [stability, Number(match[1]), Number(match[3] ?? 0)];
}

/** `/api` and `/apis` in the aggregated form: all groups, versions and resources in one document. */
export function aggregated(resources: readonly DiscoveredResource[], documentVersion: string, isCore: boolean): object {
  const groups = [...versionsByGroup(resources)].filter(([group]) => (group === '') === isCore);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${documentVersion}`,
    metadata: {},
    items: groups.map(([group, versions]) => ({
      metadata: isCore ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
      versions: versions.map((version) => ({
        version,
        freshness: 'Current',
        resources: resources.filter((r) => r.group === group && r.version === version).map(aggregatedResource),
      })),
    })),
  };
}

function aggregatedResource(resource: DiscoveredResource): object {
  const { categories, group, isNamespaced, kind, plural, shortNames, singular, subresources, verbs, version } =
    resource;
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.length > 0 && {
      subresources: subresources.map(({ name, verbs, ...kind }) => ({
        subresource: name,
        responseKind: { group: kind.group, version: kind.version, kind: kind.kind },
        verbs,
      })),
    }),
  };
}

/** `/api`: the versions of the core group. */
export function coreVersions(resources: readonly DiscoveredResource[], serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: versionsByGroup(resources).get('') ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

/** `/apis`: the other groups with their versions. */
export function groupList(resources: readonly DiscoveredResource[]): object {
  const groups = [...versionsByGroup(resources)].filter(([group]) => group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(([name, versions]) => group(name, versions)) };
}

/** `/apis/GROUP`; undefined when there is no such group. */
export function groupDocument(resources: readonly DiscoveredResource[], name: string): object | undefined {
  const versions = versionsByGroup(resources).get(name);
  return versions && name !== '' ? { kind: 'APIGroup', apiVersion: 'v1', ...group(name, versions) } : undefined;
}

function group(name: string, versions: readonly string[]) {
  const listed = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: listed, preferredVersion: listed[0] };
}

/** `/apis/GROUP/VERSION` and `/api/v1`: resources and subresources, flat; undefined when there are none. */
export function resourceList(
  resources: readonly DiscoveredResource[],
  group: string,
  version: string,
): object | undefined {
  const own = resources.filter((r) => r.group === group && r.version === version);
  if (own.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: own.flatMap((resource) => {
      const { categories, isNamespaced: namespaced, kind, plural, shortNames, singular, verbs } = resource;
      return [
        {
          name: plural,
          singularName: singular,
          namespaced,
          kind,
          verbs,
          ...(shortNames.length > 0 && { shortNames }),
          ...(categories.length > 0 && { categories }),
        },
        ...resource.subresources.map((sub) => ({
          name: `${plural}/${sub.name}`,
          singularName: '',
          namespaced,
          ...(sub.group !== group && { group: sub.group, version: sub.version }),
          kind: sub.kind,
          verbs: sub.verbs,
        })),
      ];
    }),
  };
}
