import { servedResource } from '../served-resource.ts';
import { namespaces } from '../strategies/namespaces.ts';

/** What a path of the API names. */
export interface ResourcePath {
  /** '' for the core group. */
  group: string;
  version: string;
  plural: string;
  namespace?: string;
  name?: string;
  /** For example `status`; a deeper path keeps its slashes. */
  subresource?: string;
  /** The old form `/api/v1/watch/…`, which means `?watch=true`. */
  isWatchPath: boolean;
}

/** Reads `/api/VERSION/…` and `/apis/GROUP/VERSION/…`; undefined for other paths, and for those without a resource. */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const parts = segments(path);
  if (!parts) return undefined;
  const root = parts.shift();
  if (root !== 'api' && root !== 'apis') return undefined;
  const group = root === 'api' ? '' : parts.shift();
  const version = parts.shift();
  const isWatchPath = parts[0] === 'watch' && parts.length > 1;
  if (isWatchPath) parts.shift();
  if (group === undefined || version === undefined || parts[0] === undefined) return undefined;
  const base = { group, version, isWatchPath };

  // `namespaces/NAME/status` is the Namespace itself, `namespaces/NAME/pods` what is in it.
  const [first, namespace, plural] = parts;
  const isInNamespace =
    first === 'namespaces' && namespace !== undefined && plural !== undefined && !namespaceSubresources.has(plural);
  const [resource = '', name, ...rest] = isInNamespace ? parts.slice(2) : parts;
  return {
    ...base,
    plural: resource,
    ...(isInNamespace ? { namespace } : {}),
    ...(name === undefined ? {} : { name }),
    ...(rest.length === 0 ? {} : { subresource: rest.join('/') }),
  };
}

const namespaceSubresources = servedResource(namespaces).subresources;

function segments(path: string): string[] | undefined {
  try {
    return path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
  } catch {
    return undefined; // A bad percent escape names nothing.
  }
}

/** The path of a group's version: `/apis/apps/v1`, or `/api/v1` for the core group. */
export function groupVersionPath(group: string, version: string): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
}
