import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../observe/log.ts';
import type { Pipeline } from '../resources.ts';
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
  const resource = pipeline.resources.find(path.group, path.version, path.plural);
  if (!resource) throw notServed();
  const { name, namespace, subresource } = path;
  const verb = verbOf(exchange.method, path, exchange.query);
  onRoute(exchange, verb ?? exchange.method.toLowerCase(), qualified(path));
  const isScoped = resource.kind.isNamespaced === (namespace !== undefined);
  if (!isScoped && (name !== undefined || verb === 'create')) throw notServed();
  if (subresource !== undefined && !resource.subresources.has(subresource)) throw notServed();
  if (verb === undefined) throw notAllowed();
  const { clock, log } = options;
  const info = { user: exchange.user, verb, resource, namespace, name, subresource };
  const request = { exchange, info, pipeline, log, now: () => clock.now() };
  const offered = requireOffered(info);
  return offered?.type === 'stream' ? offered.serve(request) : serveResource(request);
}

/** `widgets.example.com`, as two groups may use one name. */
const qualified = ({ group, plural }: ResourcePath) => (group === '' ? plural : `${plural}.${group}`);
