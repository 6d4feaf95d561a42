import { PodKind } from '../../../api/core/pod.ts';
import { ApiError } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../observe/log.ts';
import type { PodLogs } from '../../pod-logs.ts';
import type { Verb } from '../request-info.ts';
import type { Pipeline, ServedResource } from '../resources.ts';
import { virtualResources } from './documents/virtual-resources.ts';
import type { Exchange } from './exchange.ts';
import type { Documents } from './handlers/documents.ts';
import { servePodLog } from './handlers/logs.ts';
import { methodNotAllowed, serveResource, verbOf } from './handlers/resource.ts';
import type { ResourceRequest } from './handlers/resource-request.ts';
import { serveReview } from './handlers/reviews.ts';
import { parseResourcePath, type ResourcePath } from './paths.ts';
import { sendText } from './respond.ts';

export interface RouterOptions {
  pipeline: Pipeline;
  documents: Documents;
  clock: Clock;
  log: Logger;
  podLogs: PodLogs | undefined;
  /** Told which verb is applied to which resource, once that is known. */
  onRoute(exchange: Exchange, verb: string, resource: string): void;
}

const healthPaths = /^\/(healthz|livez|readyz)(\/.*)?$/;
/** What needs no certificate: whether the server lives, and its version. */
export const isPublic = (path: string): boolean => healthPaths.test(path) || path === '/version';

/** Answers one request. Throws ApiError. */
export async function route(exchange: Exchange, options: RouterOptions): Promise<void> {
  const { documents, onRoute, pipeline } = options;
  if (healthPaths.test(exchange.path)) return sendText(exchange, 'ok');
  const path = parseResourcePath(exchange.path);
  if (!path) {
    onRoute(exchange, exchange.method.toLowerCase(), 'documents');
    if (await documents.serve(exchange)) return;
    throw notServed();
  }
  if (isReview(path)) {
    onRoute(exchange, 'create', qualified(path));
    if (exchange.method !== 'POST') throw methodNotAllowed();
    return serveReview(exchange, path.plural, options.clock.now());
  }
  const resource = pipeline.resources.find(path.group, path.version, path.plural);
  if (!resource) throw notServed();
  const verb = verbOf(exchange.method, path, exchange.query);
  onRoute(exchange, verb ?? exchange.method.toLowerCase(), qualified(path));
  const { clock, log } = options;
  const { name, namespace, subresource } = path;
  const request = (verb: Verb): ResourceRequest => {
    const info = { user: exchange.user, verb, resource, namespace, name, subresource };
    return { exchange, info, pipeline, log, now: () => clock.now() };
  };
  if (path.subresource === undefined || isSubresource(resource, path.subresource)) {
    if (verb === undefined) throw methodNotAllowed();
    return serveResource(request(verb));
  }
  if (resource.kind === PodKind && path.name !== undefined) {
    const isRead = exchange.method === 'GET' || exchange.method === 'HEAD';
    if (path.subresource === 'log') {
      if (!isRead) throw methodNotAllowed();
      return servePodLog(request('get'), options.podLogs);
    }
    if (upgraded.has(path.subresource)) throw notOffered(path.subresource);
  }
  throw notServed();
}

/** `widgets.example.com`, as two groups may use one name. */
const qualified = ({ group, plural }: ResourcePath) => (group === '' ? plural : `${plural}.${group}`);

const isReview = ({ group, plural, version }: ResourcePath): boolean =>
  virtualResources.some((r) => r.group === group && r.version === version && r.plural === plural);

function isSubresource({ kind }: ServedResource, name: string): boolean {
  if (name === 'status') return kind.hasStatus;
  if (name === 'scale') return kind.scale !== undefined;
  return name === 'finalize' && kind.group === '' && kind.plural === 'namespaces';
}

const upgraded = new Set(['exec', 'attach', 'portforward']);

export const notOffered = (subresource: string) =>
  new ApiError(501, 'NotImplemented', `the process driver of this node does not offer ${subresource} yet`);

const notServed = () => new ApiError(404, 'NotFound', 'the server could not find the requested resource');
