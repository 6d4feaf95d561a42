/**
 * The door. Whoever asks comes through it, once for each request and before anything is looked up: over HTTP by the
 * router, from within this process by the Client. What has come through is not asked again (an eviction deletes its
 * pod), and the server's own upkeep is inside already.
 */
import type { Kind } from '../../api/kind.ts';
import { forbidden } from '../../api/status.ts';
import { authenticatedGroup, type UserInfo } from '../../api/user.ts';
import type { Strategy } from './strategy.ts';

/** What a policy judges: a RequestInfo is one, as soon as the verb is known. */
export type Attributes = ResourceAttributes | PathAttributes;

/** A request about objects, of a resource that may not even be served. */
export interface ResourceAttributes {
  user: UserInfo;
  verb: string;
  resource: { kind: Pick<Kind, 'group' | 'version' | 'plural'>; strategy?: Pick<Strategy, 'isNamespace'> };
  subresource?: string | undefined;
  namespace?: string | undefined;
  name?: string | undefined;
}

/** A request for a document: discovery, OpenAPI, health. The verb is the method in small letters. */
export interface PathAttributes {
  user: UserInfo;
  verb: string;
  path: string;
}

export interface Decision {
  isAllowed: boolean;
  /** For the user; may be empty. */
  reason: string;
}

/** Says whether a request may go on. Synchronous, and asked for each read: it must be quick, and make nothing. */
export type Policy = (request: Attributes) => Decision;

const mayDoEverything: Decision = { isAllowed: true, reason: 'clients of this API server may do everything' };
const nobody: Decision = { isAllowed: false, reason: '' };

/** Who has shown who they are may do everything; anybody may ask whether the server lives, and its version. */
export const allowAuthenticated: Policy = (request) =>
  request.user.groups.includes(authenticatedGroup) || ('path' in request && isPublic(request.path))
    ? mayDoEverything
    : nobody;

const publicPaths = /^\/((healthz|livez|readyz)(\/.*)?|version)$/;
export const isPublic = (path: string): boolean => publicPaths.test(path);

/** 403, in Kubernetes' words, unless the policy allows the request. */
export function authorize(policy: Policy, request: Attributes): void {
  const { isAllowed, reason } = policy(request);
  if (isAllowed) return;
  const why = `${sentence(request)}${reason === '' ? '' : `: ${reason}`}`;
  throw 'path' in request ? forbidden(undefined, '', why) : forbidden(request.resource.kind, request.name ?? '', why);
}

function sentence(request: Attributes): string {
  const start = `User ${JSON.stringify(request.user.name)} cannot ${request.verb}`;
  if ('path' in request) return `${start} path ${JSON.stringify(request.path)}`;
  const { subresource, resource } = request;
  const { group, plural } = resource.kind;
  const what = JSON.stringify(subresource === undefined ? plural : `${plural}/${subresource}`);
  const namespace = namespaceOf(request);
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope';
  return `${start} resource ${what} in API group ${JSON.stringify(group)} ${where}`;
}

/** To authorization, a Namespace is in itself. */
export const namespaceOf = ({ resource, namespace, name }: ResourceAttributes): string | undefined =>
  resource.strategy?.isNamespace ? name : namespace;
