/** Create, read, update, patch, delete and list: from a request to the pipeline, and from its result to an answer. */
import { apiVersionOf } from '../../../../api/kind.ts';
import { ApiError, badRequest } from '../../../../api/status.ts';
import type { DeleteOptions, Patch } from '../../../../kube/client.ts';
import { toYaml } from '../../../../lib/yaml.ts';
import type { StoredObject } from '../../../store/stored-object.ts';
import type {
  FieldValidation,
  ListRequest,
  ListResultPage,
  NamedTarget,
  Result,
  ServedResource,
  WriteOptions,
} from '../../resources.ts';
import { decodeJson, decodeObject, decodeYaml, unsupportedMediaType } from '../body/decode.ts';
import { readBody } from '../body/read.ts';
import { contentTypeOf, type Exchange, flag } from '../exchange.ts';
import type { Accepted } from '../media-type.ts';
import type { ResourcePath } from '../paths.ts';
import { sendObject, sendPieces, wantsYaml, yamlOf } from '../respond.ts';
import { type ListMeta, partial, renderRow, renderTable, tableHead } from '../table/render.ts';
import { accepted, numberOf, type ResourceRequest, selectors, tableOptions } from './resource-request.ts';
import { watchResource } from './watch.ts';

/** The verb of the request as Kubernetes names it, for metrics and routing; undefined when the method does not fit. */
export function verbOf(method: string, path: ResourcePath, query: URLSearchParams): string | undefined {
  const isNamed = path.name !== undefined;
  if (method === 'GET' || method === 'HEAD') {
    if (path.isWatchPath || (path.subresource === undefined && flag(query, 'watch'))) return 'watch';
    return isNamed ? 'get' : 'list';
  }
  if (method === 'POST') return isNamed ? undefined : 'create';
  if (method === 'PUT') return isNamed ? 'update' : undefined;
  if (method === 'PATCH') return isNamed ? 'patch' : undefined;
  if (method === 'DELETE') return isNamed ? 'delete' : 'deletecollection';
  return undefined;
}

export const methodNotAllowed = () =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');

export async function serveResource(verb: string, request: ResourceRequest): Promise<void> {
  const { path, pipeline, resource } = request;
  if (resource.kind.isNamespaced !== (path.namespace !== undefined) && (path.name !== undefined || verb === 'create')) {
    throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  }
  switch (verb) {
    case 'watch':
      return watchResource(request, accepted(request.exchange));
    case 'list': {
      const page = await pipeline.list(listRequest(request));
      return sendList(request, page);
    }
    case 'get': {
      const accept = accepted(request.exchange);
      return sendOne(request, await pipeline.get(named(request)), accept);
    }
    case 'create': {
      const { body, options } = await readWrite(request);
      return sendResult(request, await pipeline.create(target(request), body, options), 201);
    }
    case 'update': {
      const { body, options } = await readWrite(request);
      return sendResult(request, await pipeline.update(named(request), body, options), 200);
    }
    case 'patch': {
      const { options, patch } = await readPatch(request);
      const result = await pipeline.patch(named(request), patch, options);
      return sendResult(request, result, result.isCreated ? 201 : 200);
    }
    case 'delete':
      return deleteOne(request);
    case 'deletecollection': {
      const { deletion, options } = await readDeletion(request);
      return sendList(request, await pipeline.deleteCollection(listRequest(request), deletion, options));
    }
    default:
      throw methodNotAllowed();
  }
}

function target({ path, resource }: ResourceRequest) {
  return { resource, namespace: path.namespace };
}

function named(request: ResourceRequest): NamedTarget {
  const { name = '', subresource } = request.path;
  return { ...target(request), name, subresource: subresource as NamedTarget['subresource'] };
}

function listRequest(request: ResourceRequest): ListRequest {
  const { query } = request.exchange;
  return {
    ...target(request),
    ...selectors(query),
    resourceVersion: query.get('resourceVersion') ?? undefined,
    resourceVersionMatch: query.get('resourceVersionMatch') ?? undefined,
    limit: numberOf(query, 'limit'),
    continue: query.get('continue') ?? undefined,
  };
}

async function readWrite(request: ResourceRequest): Promise<{ body: unknown; options: WriteOptions }> {
  const { exchange } = request;
  const body = await readBody(exchange);
  const { errors, value } = decodeObject(body, exchange.request.headers['content-type']);
  return { body: value, options: writeOptions(exchange, errors) };
}

function writeOptions({ query, request, user }: Exchange, decodingErrors: readonly string[] = []): WriteOptions {
  const validation = query.get('fieldValidation') || undefined;
  if (validation !== undefined && !fieldValidations.includes(validation)) {
    throw badRequest(
      `the parameter fieldValidation is "${validation}": it must be one of ${fieldValidations.join(', ')}`,
    );
  }
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) {
    throw badRequest(`the parameter dryRun is "${dryRun.join(',')}": it must be All, or be left out`);
  }
  return {
    user: user.name,
    dryRun: dryRun.length > 0,
    fieldManager: query.get('fieldManager') || defaultManager(request.headers['user-agent']),
    fieldValidation: validation as FieldValidation | undefined,
    decodingErrors,
  };
}

const fieldValidations = ['Strict', 'Warn', 'Ignore'];

/** The program's name in the User-Agent: `curl` of `curl/8.5.0` (as Kubernetes does it). */
const defaultManager = (agent: string | undefined) => (agent ?? '').split('/')[0]?.slice(0, 128) || 'unknown';

async function readPatch({ exchange, resource }: ResourceRequest): Promise<{ patch: Patch; options: WriteOptions }> {
  const type = contentTypeOf(exchange);
  const body = await readBody(exchange);
  const supported = ['json-patch+json', 'merge-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml'].map(
    (name) => `application/${name}`,
  );
  if (!resource.isBuiltin) supported.splice(2, 1);
  if (!supported.includes(type)) throw unsupportedMediaType(type, supported);
  const { errors, value } = type === 'application/apply-patch+yaml' ? decodeYaml(body) : decodeJson(body);
  const options = writeOptions(exchange, errors);
  if (type === 'application/json-patch+json') {
    if (!Array.isArray(value)) throw badRequest('a JSON patch must be a list of operations');
    return { patch: { type: 'json', operations: value }, options };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('a patch must be an object');
  }
  if (type === 'application/apply-patch+yaml') {
    const fieldManager = exchange.query.get('fieldManager');
    if (!fieldManager) throw badRequest('an apply patch needs the parameter fieldManager');
    const force = flag(exchange.query, 'force');
    return { patch: { type: 'apply', patch: value, fieldManager, force }, options };
  }
  return { patch: { type: type.includes('strategic') ? 'strategic' : 'merge', patch: value }, options };
}

async function deleteOne(request: ResourceRequest): Promise<void> {
  const { pipeline, resource } = request;
  const { deletion, options } = await readDeletion(request);
  const { isGone, stored, warnings } = await pipeline.delete(named(request), deletion, options);
  const { kind } = resource;
  if (!isGone || answersWithObject(resource)) return sendObject(request.exchange, stored.json, { warnings });
  const { name, uid } = stored.object.metadata;
  const details = { name, ...(kind.group !== '' && { group: kind.group }), kind: kind.plural, uid };
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  return sendObject(request.exchange, status, { warnings });
}

/** Kubernetes answers the deletion of these with the object, of others with a Status that names its uid. */
const answersWithObject = ({ kind }: ServedResource): boolean =>
  kind.group === '' && ['pods', 'services', 'namespaces', 'serviceaccounts'].includes(kind.plural);

async function readDeletion({
  exchange,
}: ResourceRequest): Promise<{ deletion: DeleteOptions; options: WriteOptions }> {
  const body = await readBody(exchange);
  const decoded =
    body.length === 0 ? { value: {}, errors: [] } : decodeObject(body, exchange.request.headers['content-type']);
  const given = decoded.value;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw badRequest('the body of a deletion must be DeleteOptions');
  }
  const { query } = exchange;
  const { dryRun, gracePeriodSeconds, orphanDependents, preconditions, propagationPolicy } = given as RawDeleteOptions;
  const policy =
    propagationPolicy ?? query.get('propagationPolicy') ?? policyOf(orphanDependents ?? query.get('orphanDependents'));
  const grace = gracePeriodSeconds ?? numberOf(query, 'gracePeriodSeconds');
  if (policy !== undefined && !policies.includes(policy)) {
    const supported = policies.map((name) => `"${name}"`).join(', ');
    throw new ApiError(
      422,
      'Invalid',
      `DeleteOptions is invalid: propagationPolicy: Unsupported value: "${policy}": supported values: ${supported}`,
    );
  }
  if (grace !== undefined && !Number.isInteger(grace))
    throw badRequest(`gracePeriodSeconds is ${JSON.stringify(grace)}: it must be a whole number`);
  const options = writeOptions(exchange);
  return {
    deletion: {
      ...(policy !== undefined && { propagationPolicy: policy as NonNullable<DeleteOptions['propagationPolicy']> }),
      ...(grace !== undefined && { gracePeriodSeconds: grace }),
      ...(preconditions && { preconditions }),
    },
    options: { ...options, dryRun: options.dryRun || (dryRun ?? []).includes('All') },
  };
}

interface RawDeleteOptions {
  propagationPolicy?: string;
  gracePeriodSeconds?: number;
  /** The form before propagationPolicy. */
  orphanDependents?: boolean;
  preconditions?: NonNullable<DeleteOptions['preconditions']>;
  dryRun?: string[];
}

const policies = ['Background', 'Foreground', 'Orphan'];
const policyOf = (orphan: unknown) =>
  orphan === true || orphan === 'true' ? 'Orphan' : orphan === false || orphan === 'false' ? 'Background' : undefined;

function sendResult(request: ResourceRequest, { stored, warnings }: Result, code: number): Promise<void> {
  const { deprecationWarning } = request.resource;
  const all = deprecationWarning === undefined ? warnings : [deprecationWarning, ...warnings];
  return sendOne(request, stored, accepted(request.exchange), { code, warnings: all });
}

function sendOne(
  request: ResourceRequest,
  stored: StoredObject,
  accept: Accepted,
  answer: { code?: number; warnings?: readonly string[] } = {},
): Promise<void> {
  const { exchange } = request;
  // A scale or another subresource has no columns of its own.
  if (accept.shape === 'object' || request.path.subresource === 'scale')
    return sendObject(exchange, stored.json, answer);
  if (accept.shape === 'PartialObjectMetadata') {
    return sendObject(exchange, partial(stored.object, accept.version), answer);
  }
  const metadata = { resourceVersion: stored.object.metadata.resourceVersion ?? '' };
  return sendObject(exchange, renderTable([stored.object], metadata, tableOptions(request, accept)), answer);
}

function sendList(request: ResourceRequest, page: ListResultPage): Promise<void> {
  const { exchange, resource } = request;
  const { continue: next, items, remainingItemCount, resourceVersion } = page;
  const metadata = {
    resourceVersion,
    ...(next !== undefined && { continue: next }),
    ...(remainingItemCount !== undefined && { remainingItemCount }),
  };
  const warnings = resource.deprecationWarning === undefined ? [] : [resource.deprecationWarning];
  const { head, textOf, field } = listForm(request, metadata);
  const isYaml = wantsYaml(exchange);
  const pieces = isYaml ? yamlList(head, field, items, textOf) : jsonList(head, field, items, textOf);
  const type = isYaml ? 'application/yaml' : 'application/json';
  return sendPieces(exchange, pieces, { headers: { 'content-type': type }, warnings });
}

interface ListForm {
  /** The list without its items. */
  head: object;
  /** The name of the field that holds them. */
  field: 'items' | 'rows';
  textOf(item: StoredObject): string;
}

function listForm(request: ResourceRequest, metadata: ListMeta): ListForm {
  const { exchange, resource } = request;
  const accept = accepted(exchange);
  if (accept.shape === 'object') {
    const head = { kind: resource.listKind, apiVersion: apiVersionOf(resource.kind), metadata };
    return { head, field: 'items', textOf: (item) => item.json };
  }
  if (accept.shape === 'PartialObjectMetadata') {
    const head = { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${accept.version}`, metadata };
    return { head, field: 'items', textOf: ({ object }) => JSON.stringify(partial(object, accept.version)) };
  }
  const options = tableOptions(request, accept);
  const head = tableHead(metadata, options);
  return { head, field: 'rows', textOf: ({ object }) => JSON.stringify(renderRow(object, options)) };
}

type TextOf = ListForm['textOf'];

function* jsonList(head: object, field: string, items: readonly StoredObject[], textOf: TextOf): Generator<string> {
  yield `${JSON.stringify(head).slice(0, -1)},"${field}":[`;
  let separator = '';
  for (const item of items) {
    yield `${separator}${textOf(item)}`;
    separator = ',';
  }
  yield ']}\n';
}

function* yamlList(head: object, field: string, items: readonly StoredObject[], textOf: TextOf): Generator<string> {
  yield toYaml(head);
  yield items.length === 0 ? `${field}: []\n` : `${field}:\n`;
  for (const item of items) yield `- ${yamlOf(textOf(item)).trimEnd().replaceAll('\n', '\n  ')}\n`;
}
