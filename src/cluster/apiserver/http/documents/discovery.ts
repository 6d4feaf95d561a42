import { apiVersionOf, type Kind } from '../../../../api/kind.ts';
import type { ServedResource } from '../../resources.ts';

/** The versions of each group, groups in alphabetical order. */
function versionsByGroup(resources: readonly ServedResource[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { kind } of resources) {
    const versions = groups.get(kind.group) ?? [];
    if (!versions.includes(kind.version)) versions.push(kind.version);
    groups.set(kind.group, versions.sort(byPriority));
  }
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const inVersion = (resources: readonly ServedResource[], group: string, version: string) =>
  resources.filter(({ kind }) => kind.group === group && kind.version === version);

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
export function aggregated(resources: readonly ServedResource[], documentVersion: string, isCore: boolean): object {
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
        resources: inVersion(resources, group, version).map(aggregatedResource),
      })),
    })),
  };
}

/** A kind by its names alone, as documents write it. */
export const gvkOf = ({ group, version, kind }: Pick<Kind, 'group' | 'version' | 'kind'>) => ({ group, version, kind });

function aggregatedResource({ kind: own, subresources, verbs }: ServedResource): object {
  const { categories, isNamespaced, plural, shortNames, singular } = own;
  return {
    resource: plural,
    responseKind: gvkOf(own),
    scope: isNamespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.size > 0 && {
      subresources: [...subresources].map(([subresource, { kind = own, verbs }]) => {
        return { subresource, responseKind: gvkOf(kind), verbs };
      }),
    }),
  };
}

/** `/api`: the versions of the core group. */
export function coreVersions(resources: readonly ServedResource[], serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: versionsByGroup(resources).get('') ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

/** `/apis`: the other groups with their versions. */
export function groupList(resources: readonly ServedResource[]): object {
  const groups = [...versionsByGroup(resources)].filter(([group]) => group !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(([name, versions]) => group(name, versions)) };
}

/** `/apis/GROUP`; undefined when there is no such group. */
export function groupDocument(resources: readonly ServedResource[], name: string): object | undefined {
  const versions = versionsByGroup(resources).get(name);
  return versions && name !== '' ? { kind: 'APIGroup', apiVersion: 'v1', ...group(name, versions) } : undefined;
}

function group(name: string, versions: readonly string[]) {
  const listed = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: listed, preferredVersion: listed[0] };
}

/** `/apis/GROUP/VERSION` and `/api/v1`: resources and subresources, flat; undefined when there are none. */
export function resourceList(resources: readonly ServedResource[], group: string, version: string): object | undefined {
  const found = inVersion(resources, group, version);
  if (found.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: found.flatMap(({ kind: own, subresources, verbs }) => {
      const { categories, isNamespaced: namespaced, plural, shortNames, singular } = own;
      return [
        {
          name: plural,
          singularName: singular,
          namespaced,
          kind: own.kind,
          verbs,
          ...(shortNames.length > 0 && { shortNames }),
          ...(categories.length > 0 && { categories }),
        },
        ...[...subresources].map(([name, { kind = own, verbs }]) => ({
          name: `${plural}/${name}`,
          singularName: '',
          namespaced,
          ...(kind.group !== group && { group: kind.group, version: kind.version }),
          kind: kind.kind,
          verbs,
        })),
      ];
    }),
  };
}
