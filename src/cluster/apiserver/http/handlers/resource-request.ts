import { ApiError, badRequest } from '../../../../api/status.ts';
import type { Logger } from '../../../../observe/log.ts';
import type { NamedRequest, RequestInfo } from '../../request-info.ts';
import type { Pipeline } from '../../resources.ts';
import type { Exchange } from '../exchange.ts';
import { type Accepted, negotiate } from '../media-type.ts';
import { columnsOf } from '../table/columns.ts';
import type { IncludeObject, TableOptions } from '../table/render.ts';

export interface ResourceRequest {
  exchange: Exchange;
  /** Who asks for what; the parameters of the query come with each verb. */
  info: RequestInfo;
  pipeline: Pipeline;
  log: Logger;
  now: () => number;
}

/** The request as one about an object. */
export const named = ({ info }: ResourceRequest): NamedRequest => ({ ...info, name: info.name ?? '' });

export const selectors = (query: URLSearchParams) => ({
  labelSelector: query.get('labelSelector') || undefined,
  fieldSelector: query.get('fieldSelector') || undefined,
});

/** A parameter that is a whole number from 0, undefined when it is absent or empty. Throws ApiError 400 otherwise. */
export function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`the parameter ${name} is "${text}": give a whole number from 0`);
  return Number(text);
}

/** The form of the answer that the client asked for. Throws ApiError 406 when it is none that there is. */
export function accepted(exchange: Exchange): Accepted {
  const accept = negotiate(exchange.request.headers.accept);
  if (accept) return accept;
  throw new ApiError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml, ' +
      'application/json;as=Table;v=v1;g=meta.k8s.io, application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
  );
}

function includeObject(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') || 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  throw badRequest(`the parameter includeObject is "${value}": it must be None, Metadata or Object`);
}

export function tableOptions({ exchange, info, log, now }: ResourceRequest, accept: Accepted): TableOptions {
  const { kind } = info.resource;
  return {
    onFailure: (error, column, { metadata }) =>
      log.warn({ err: error, kind: kind.kind, name: metadata.name, column }, 'a column of a table cannot be shown'),
    columns: columnsOf(info.resource.strategy),
    version: accept.version,
    includeObject: includeObject(exchange.query),
    nowMs: now(),
  };
}
