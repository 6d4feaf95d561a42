import { apiVersionOf, type Kind } from '../../api/kind.ts';
import { ApiError } from '../../api/status.ts';
import { scaleOfKind } from './objects/scale.ts';
import type { RequestInfo, Verb } from './request-info.ts';
import type { ServedResource } from './resources.ts';
import type { Field, Strategy, Subresource, View } from './strategy.ts';

const storedVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;

const computedVerbs = ['get', 'list'] as const;

const status: Field = { type: 'field', field: 'status', verbs: ['get', 'patch', 'update'] };

/** The resource of a strategy: one of Kubernetes' own, with one version, unless `facts` say otherwise. */
export function servedResource(strategy: Strategy, facts: Partial<ServedResource> = {}): ServedResource {
  const { kind } = strategy;
  const { isBuiltin = true } = facts;
  return {
    strategy,
    kind,
    verbs: strategy.action?.verbs ?? (strategy.compute ? computedVerbs : storedVerbs),
    subresources: new Map(Object.entries(subresourcesOf(strategy, isBuiltin))),
    listKind: `${kind.kind}List`,
    isBuiltin,
    table: tableName(kind),
    storedApiVersion: apiVersionOf(kind),
    ...facts,
  };
}

function subresourcesOf({ kind, subresources }: Strategy, isBuiltin: boolean): Record<string, Subresource> {
  const { hasStatus, scale } = kind;
  return { ...(hasStatus && { status }), ...(scale && { scale: scaleOfKind(scale, isBuiltin) }), ...subresources };
}

/** The `group/plural` that names a resource's table in the store, whatever the version. */
export const tableName = ({ group, plural }: Pick<Kind, 'group' | 'plural'>): string => `${group}/${plural}`;

/**
 * The subresource that a request names, undefined when it is about the resource itself. 404 when there is none of the
 * name, 405 when what there is does not have the verb.
 */
export function requireOffered({ resource, subresource: name, verb }: RequestInfo): Subresource | undefined {
  const subresource = name === undefined ? undefined : resource.subresources.get(name);
  if (name !== undefined && !subresource) throw notServed(`${resource.kind.plural}/${name}`);
  const { verbs }: { verbs: readonly Verb[] } = subresource ?? resource;
  if (!verbs.includes(verb)) throw notAllowed();
  return subresource;
}

/** What of an object is read or written: a field of it, a view on it, or (undefined) the whole. */
export function requirePart(request: RequestInfo): Field | View | undefined {
  const subresource = requireOffered(request);
  if (!subresource || subresource.type === 'field' || subresource.type === 'view') return subresource;
  throw notAllowed();
}

export const notServed = (what?: string) =>
  new ApiError(404, 'NotFound', `the server could not find the requested resource${what ? `: ${what}` : ''}`);

export const notAllowed = () =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
