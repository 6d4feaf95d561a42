/** Create, read, update, patch, delete and list: from a request to the pipeline, and from its result to an answer. */
import { apiVersionOf } from '../../../../api/kind.ts';
import { ApiError, badRequest } from '../../../../api/status.ts';
import { type DeleteOptions, type Patch, patchTypes } from '../../../../kube/client.ts';
import { toYaml } from '../../../../lib/yaml.ts';
import type { StoredObject } from '../../../store/stored-object.ts';
import type { Verb } from '../../request-info.ts';
import type { FieldValidation, ListRequest, ListResultPage, Result, WriteOptions } from '../../resources.ts';
import { decodeJson, decodeObject, decodeYaml, unsupportedMediaType } from '../body/decode.ts';
import { readBody } from '../body/read.ts';
import { contentTypeOf, type Exchange, flag } from '../exchange.ts';
import type { Accepted } from '../media-type.ts';
import type { ResourcePath } from '../paths.ts';
import { sendObject, sendPieces, wantsYaml, yamlOf } from '../respond.ts';
import { type ListMeta, partial, renderRow, renderTable, tableHead } from '../table/render.ts';
import { accepted, named, numberOf, type ResourceRequest, selectors, tableOptions } from './resource-request.ts';
import { watchResource } from './watch.ts';

/** The verb of the request as Kubernetes names it, for metrics and routing; undefined when the method does not fit. */
export function verbOf(method: string, path: ResourcePath, query: URLSearchParams): Verb | undefined {
  const isNamed = path.name !== undefined;
  if (method === 'GET' || method === 'HEAD') {
    if (path.isWatchPath || (path.subresource === undefined && flag(query, 'watch'))) return 'watch';
    return isNamed ? 'get' : 'list';
  }
  if (method === 'POST') return isNamed && path.subresource === undefined ? undefined : 'create';
  if (method === 'PUT') return isNamed ? 'update' : undefined;
  if (method === 'PATCH') return isNamed ? 'patch' : undefined;
  if (method === 'DELETE') return isNamed ? 'delete' : 'deletecollection';
  return undefined;
}

export async function serveResource(request: ResourceRequest): Promise<void> {
  const { info, pipeline } = request;
  switch (info.verb) {
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
      const { body, dryRun, options } = await readWrite(request);
      return sendResult(request, await pipeline.create({ ...info, dryRun }, body, options), 201);
    }
    case 'update': {
      const { body, dryRun, options } = await readWrite(request);
      return sendResult(request, await pipeline.update({ ...named(request), dryRun }, body, options), 200);
    }
    case 'patch': {
      const { dryRun, options, patch } = await readPatch(request);
      return sendResult(request, await pipeline.patch({ ...named(request), dryRun }, patch, options), 200);
    }
    case 'delete':
      return deleteOne(request);
    case 'deletecollection': {
      const { deletion, dryRun } = await readDeletion(request);
      return sendList(request, await pipeline.deleteCollection({ ...listRequest(request), dryRun }, deletion));
    }
  }
}

function listRequest(request: ResourceRequest): ListRequest {
  const { query } = request.exchange;
  return {
    ...request.info,
    ...selectors(query),
    resourceVersion: query.get('resourceVersion') ?? undefined,
    resourceVersionMatch: query.get('resourceVersionMatch') ?? undefined,
    limit: numberOf(query, 'limit'),
    continue: query.get('continue') ?? undefined,
  };
}

async function readWrite(request: ResourceRequest): Promise<Write & { body: unknown }> {
  const { exchange } = request;
  const body = await readBody(exchange);
  const { errors, value } = decodeObject(body, exchange.request.headers['content-type']);
  return { body: value, ...writeOf(exchange, errors) };
}

interface Write {
  dryRun: boolean;
  options: WriteOptions;
}

function writeOf({ query, request }: Exchange, decodingErrors: readonly string[] = []): Write {
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
  const options = {
    fieldManager: query.get('fieldManager') || defaultManager(request.headers['user-agent']),
    fieldValidation: validation as FieldValidation | undefined,
    decodingErrors,
  };
  return { dryRun: dryRun.length > 0, options };
}

const fieldValidations = ['Strict', 'Warn', 'Ignore'];

/** The program's name in the User-Agent: `curl` of `curl/8.5.0` (as Kubernetes does it). */
const defaultManager = (agent: string | undefined) => (agent ?? '').split('/')[0]?.slice(0, 128) || 'unknown';

async function readPatch({ exchange, info }: ResourceRequest): Promise<Write & { patch: Patch }> {
  const type = contentTypeOf(exchange);
  const body = await readBody(exchange);
  const supported = Object.values(patchTypes).filter(
    (each) => info.resource.isBuiltin || each !== patchTypes.strategic,
  );
  if (!supported.includes(type)) throw unsupportedMediaType(type, supported);
  const { errors, value } = type === patchTypes.apply ? decodeYaml(body) : decodeJson(body);
  const write = writeOf(exchange, errors);
  if (type === patchTypes.json) {
    if (!Array.isArray(value)) throw badRequest('a JSON patch must be a list of operations');
    return { patch: { type: 'json', operations: value }, ...write };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('a patch must be an object');
  }
  if (type === patchTypes.apply) {
    const fieldManager = exchange.query.get('fieldManager');
    if (!fieldManager) throw badRequest('an apply patch needs the parameter fieldManager');
    const force = flag(exchange.query, 'force');
    return { patch: { type: 'apply', patch: value, fieldManager, force }, ...write };
  }
  return { patch: { type: type.includes('strategic') ? 'strategic' : 'merge', patch: value }, ...write };
}

async function deleteOne(request: ResourceRequest): Promise<void> {
  const { info, pipeline } = request;
  const { kind, strategy } = info.resource;
  const { deletion, dryRun } = await readDeletion(request);
  const { isGone, stored, warnings } = await pipeline.delete({ ...named(request), dryRun }, deletion);
  if (!isGone || strategy.returnsDeleted) return sendObject(request.exchange, stored.json, { warnings });
  const { name, uid } = stored.object.metadata;
  const details = { name, ...(kind.group !== '' && { group: kind.group }), kind: kind.plural, uid };
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  return sendObject(request.exchange, status, { warnings });
}

async function readDeletion({ exchange }: ResourceRequest): Promise<{ deletion: DeleteOptions; dryRun: boolean }> {
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
  const write = writeOf(exchange);
  return {
    deletion: {
      ...(policy !== undefined && { propagationPolicy: policy as NonNullable<DeleteOptions['propagationPolicy']> }),
      ...(grace !== undefined && { gracePeriodSeconds: grace }),
      ...(preconditions && { preconditions }),
    },
    dryRun: write.dryRun || (dryRun ?? []).includes('All'),
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
  return sendOne(request, stored, accepted(request.exchange), { code, warnings });
}

function sendOne(
  request: ResourceRequest,
  stored: StoredObject,
  accept: Accepted,
  answer: { code?: number; warnings?: readonly string[] } = {},
): Promise<void> {
  const { exchange } = request;
  const isOwnKind = stored.object.kind === request.info.resource.kind.kind; // A Scale has no columns.
  if (accept.shape === 'object' || !isOwnKind) return sendObject(exchange, stored.json, answer);
  if (accept.shape === 'PartialObjectMetadata') {
    return sendObject(exchange, partial(stored.object, accept.version), answer);
  }
  const metadata = { resourceVersion: stored.object.metadata.resourceVersion ?? '' };
  return sendObject(exchange, renderTable([stored.object], metadata, tableOptions(request, accept)), answer);
}

function sendList(request: ResourceRequest, page: ListResultPage): Promise<void> {
  const { exchange, info } = request;
  const { resource } = info;
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
  const { exchange, info } = request;
  const { resource } = info;
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
