import type { PolicyRule } from '../../../api/rbac/roles.ts';
import type { Attributes } from '../authorize.ts';

/** Whether the rule allows what is asked, as Kubernetes' RBAC decides it. */
export function allows(rule: PolicyRule, request: Attributes): boolean {
  if (!matches(rule.verbs, request.verb)) return false;
  if ('path' in request) return (rule.nonResourceURLs ?? []).some((url) => coversPath(url, request.path));
  const { name, resource, subresource } = request;
  return (
    matches(rule.apiGroups, resource.kind.group) &&
    (rule.resources ?? []).some((each) => coversResource(each, resource.kind.plural, subresource)) &&
    (!rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name)))
  );
}

const matches = (given: readonly string[] | undefined, wanted: string): boolean =>
  given?.some((each) => each === '*' || each === wanted) ?? false;

const coversResource = (given: string, plural: string, subresource: string | undefined): boolean =>
  given === '*' ||
  given === (subresource === undefined ? plural : `${plural}/${subresource}`) ||
  (subresource !== undefined && given === `*/${subresource}`);

/** A `*` at the end stands for whatever follows. */
const coversPath = (given: string, path: string): boolean =>
  given === '*' || given === path || (given.endsWith('*') && path.startsWith(given.slice(0, -1)));

/** Those of the wanted rights that none of the rules gives. */
export function missingRights(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(partsOf).filter((part) => !held.some((rule) => includes(rule, part)));
}

/** The rule as rules of one verb on one resource, or one path, each. */
function partsOf({ apiGroups, nonResourceURLs, resourceNames, resources, verbs }: PolicyRule): PolicyRule[] {
  return verbs.flatMap((verb) => [
    ...(nonResourceURLs ?? []).map((url) => ({ verbs: [verb], nonResourceURLs: [url] })),
    ...(apiGroups ?? []).flatMap((group) =>
      (resources ?? []).flatMap((resource) => {
        const part = { verbs: [verb], apiGroups: [group], resources: [resource] };
        return resourceNames?.length ? resourceNames.map((name) => ({ ...part, resourceNames: [name] })) : [part];
      }),
    ),
  ]);
}

/** Whether a rule gives a right of one verb on one resource or path. */
function includes(rule: PolicyRule, { apiGroups, nonResourceURLs, resourceNames, resources, verbs }: PolicyRule) {
  if (!matches(rule.verbs, verbs[0] ?? '')) return false;
  const url = nonResourceURLs?.[0];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((given) => coversPath(given, url));
  const [plural = '', subresource] = (resources?.[0] ?? '').split(/\/(.*)/s);
  return (
    matches(rule.apiGroups, apiGroups?.[0] ?? '') &&
    (rule.resources ?? []).some((given) => coversResource(given, plural, subresource)) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(resourceNames?.[0] ?? ''))
  );
}

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`, as Kubernetes writes rules: verbs together. */
export function described(rules: readonly PolicyRule[]): string[] {
  const verbsBy = new Map<string, string[]>();
  for (const { apiGroups, nonResourceURLs, resourceNames, resources, verbs } of rules) {
    const parts = Object.entries({
      APIGroups: apiGroups,
      Resources: resources,
      NonResourceURLs: nonResourceURLs,
      ResourceNames: resourceNames,
    }).flatMap(([name, list]) => (list?.length ? `${name}:${quoted(list)}` : []));
    const what = parts.join(', ');
    verbsBy.set(what, [...(verbsBy.get(what) ?? []), ...verbs]);
  }
  return [...verbsBy].map(([what, verbs]) => `{${what}, Verbs:${quoted(verbs)}}`).sort();
}

export const quoted = (list: readonly string[]): string => `[${list.map((text) => JSON.stringify(text)).join(' ')}]`;
