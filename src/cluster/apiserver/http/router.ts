import type { UserInfo } from '../../../api/user.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../observe/log.ts';
import { authorize } from '../authorize.ts';
import type { RequestInfo, Verb } from '../request-info.ts';
import type { Pipeline, ServedResource } from '../resources.ts';
import { nameSelected } from '../selectors/field-selector.ts';
import { notAllowed, notServed, requireOffered } from '../served-resource.ts';
import type { Exchange } from './exchange.ts';
import type { Documents } from './handlers/documents.ts';
import { serveResource, verbOf } from './handlers/resource.ts';
import { parseResourcePath, type ResourcePath } from './paths.ts';
import { sendText } from './respond.ts';

export interface RouterOptions {
  pipeline: Pipeline;
  documents: Documents;
  clock: Clock;
  log: Logger;
  /** Told which verb is applied to which resource, once that is known. */
  onRoute(exchange: Exchange, verb: string, resource: string): void;
}

const healthPaths = /^\/(healthz|livez|readyz)(\/.*)?$/;

/** Answers one request. Throws ApiError. */
export async function route(exchange: Exchange, options: RouterOptions): Promise<void> {
  const { documents, onRoute, pipeline } = options;
  const entered = enter(exchange, pipeline);
  const { path, resource, verb } = entered;
  if (healthPaths.test(exchange.path)) return sendText(exchange, 'ok');
  if (!path) {
    onRoute(exchange, exchange.method.toLowerCase(), 'documents');
    if (await documents.serve(exchange)) return;
    throw notServed();
  }
  if (resource) onRoute(exchange, verb ?? exchange.method.toLowerCase(), qualified(path));
  const { clock, log } = options;
  const info = infoOf(entered, exchange.user);
  const request = { exchange, info, pipeline, log, now: () => clock.now() };
  const offered = requireOffered(info);
  return offered?.type === 'stream' ? offered.serve(request) : serveResource(request);
}

/** Who asks for what. Throws ApiError 404 or 405 when it is nothing that is served. */
export function infoOf({ path, resource, verb }: Entered, user: UserInfo): RequestInfo {
  if (!path || !resource) throw notServed();
  const { name, namespace, subresource } = path;
  const isScoped = resource.kind.isNamespaced === (namespace !== undefined);
  if (!isScoped && (name !== undefined || verb === 'create')) throw notServed();
  if (subresource !== undefined && !resource.subresources.has(subresource)) throw notServed();
  if (verb === undefined) throw notAllowed();
  return { user, verb, resource, namespace, name, subresource };
}

/** What a request is about, once the door has let it in; of whatever kind it is. Throws ApiError 403. */
export function enter({ method, path: text, query, user }: Asked, { policy, resources }: Pipeline): Entered {
  const path = parseResourcePath(text);
  if (!path) {
    authorize(policy, { user, verb: method.toLowerCase(), path: text });
    return {};
  }
  const { group, version, plural, name, namespace, subresource } = path;
  const resource = resources.find(group, version, plural);
  const verb = verbOf(method, path, query);
  const asked = { user, verb: verb ?? method.toLowerCase(), resource: resource ?? { kind: path } };
  // A list or watch of one object, as clients follow one, is allowed to whom the object is allowed by its name.
  const isOfMany = verb === 'list' || verb === 'watch' || verb === 'deletecollection';
  const one = name ?? (isOfMany ? nameSelected(query.get('fieldSelector') ?? undefined) : undefined);
  authorize(policy, { ...asked, namespace, name: one, subresource });
  return { path, resource, verb };
}

type Asked = Pick<Exchange, 'method' | 'path' | 'query' | 'user'>;

interface Entered {
  /** Undefined for a document. */
  path?: ResourcePath;
  resource?: ServedResource | undefined;
  /** Undefined when the method does not fit. */
  verb?: Verb | undefined;
}

/** `widgets.example.com`, as two groups may use one name. */
const qualified = ({ group, plural }: ResourcePath) => (group === '' ? plural : `${plural}.${group}`);
