import { authenticatedGroup, type UserInfo } from '../../api/user.ts';
import type { ServedResource } from './resources.ts';

/** What is done, in the words of Kubernetes' authorization; on a subresource, `create` is its POST. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** What the request is about. */
export interface Target {
  resource: ServedResource;
  /** Absent for cluster-scoped resources, and for lists and watches over all namespaces. */
  namespace?: string | undefined;
}

/** Who asks for what: one for each request, read or write, over HTTP or from within. All operations get to see it. */
export interface RequestInfo extends Target {
  user: UserInfo;
  verb: Verb;
  /** Absent for a collection. */
  name?: string | undefined;
  /** One of those that the resource has. */
  subresource?: string | undefined;
  /** Everything is checked and nothing is stored. */
  dryRun?: boolean | undefined;
}

/** A request about one object. */
export interface NamedRequest extends RequestInfo {
  name: string;
}

/** The API server itself, where it keeps its own house. */
export const apiServerUser: UserInfo = {
  name: 'system:apiserver',
  groups: ['system:masters', authenticatedGroup],
};
