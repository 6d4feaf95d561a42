import { apiVersionOf } from '../../api/kind.ts';
import { ApiError, badRequest, notFound } from '../../api/status.ts';
import type { Store } from '../store/store.ts';
import { StoredObject } from '../store/stored-object.ts';
import { decodeContinue, encodeContinue } from './continue-token.ts';
import { type Machinery, storeKey, storePrefix } from './machinery.ts';
import type { NamedRequest } from './request-info.ts';
import type { ListRequest, ListResultPage, SelectorOptions, ServedResource } from './resources.ts';
import { compileFieldSelector } from './selectors/field-selector.ts';
import { compileLabelSelector } from './selectors/label-selector.ts';
import { requirePart } from './served-resource.ts';
import type { Field, View } from './strategy.ts';

/** The object that is on disk. */
export function get({ store }: Machinery, request: NamedRequest): StoredObject {
  const { resource, name } = request;
  const part = requirePart(request);
  const stored = store.table(resource.table).get(storeKey(request, name));
  if (!stored) throw notFound(resource.kind, name);
  return asSeen(part, stored.as(apiVersionOf(resource.kind)));
}

/** What is answered of an object to who asks for a part of it. */
export function asSeen(part: Field | View | undefined, stored: StoredObject): StoredObject {
  return part?.type === 'view' ? new StoredObject(part.of(stored.object), stored.revision) : stored;
}

/** After so many comparisons the event loop gets a turn: a selector may have thousands of requirements. */
const comparisonsPerTurn = 100_000;

/** One page of a list; pages that follow by `continue` are of the same moment as the first. */
export async function list({ store }: Machinery, request: ListRequest): Promise<ListResultPage> {
  const { resource, limit = 0 } = request;
  const { revision, after } = snapshotOf(store, request);
  const selector = compileSelectors(request, resource);
  const table = store.table(resource.table);
  const prefix = storePrefix(request);
  const apiVersion = apiVersionOf(resource.kind);
  const page = { resourceVersion: String(revision) };
  const next = (last: string) => encodeContinue({ revision, after: last });
  const rows = revision === store.revision ? table.rows(prefix, after) : table.rowsAt(revision, prefix, after);
  if (!rows) throw expired(request.continue !== undefined, store.revision, after);
  if (!selector.matches) {
    const shown = limit > 0 ? rows.slice(0, limit) : rows;
    const items = shown.map(([, stored]) => stored.as(apiVersion));
    const remainingItemCount = rows.length - shown.length;
    if (remainingItemCount === 0) return { ...page, items };
    return { ...page, items, continue: next(shown.at(-1)?.[0] ?? after), remainingItemCount };
  }
  const items: StoredObject[] = [];
  let last = after;
  let comparisons = 0;
  for (const [key, stored] of rows) {
    comparisons += selector.comparisons;
    if (comparisons > comparisonsPerTurn) {
      comparisons = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!selector.matches(stored)) continue;
    if (limit > 0 && items.length === limit) return { ...page, items, continue: next(last) };
    items.push(stored.as(apiVersion));
    last = key;
  }
  return { ...page, items };
}

export interface Selector {
  /** Undefined when everything is selected. */
  matches: ((stored: StoredObject) => boolean) | undefined;
  /** The one name that can match, when `metadata.name=…` is asked for. */
  name: string | undefined;
  /** How many requirements it has. */
  comparisons: number;
}

export function compileSelectors(options: SelectorOptions, resource: ServedResource): Selector {
  const labels = compileLabelSelector(options.labelSelector);
  const fields = compileFieldSelector(options.fieldSelector, resource);
  const comparisons = requirementsOf(options.labelSelector) + requirementsOf(options.fieldSelector);
  if (!labels && !fields.matches) return { matches: undefined, name: undefined, comparisons };
  return {
    matches: ({ object }) => (labels?.(object.metadata.labels) ?? true) && (fields.matches?.(object) ?? true),
    name: fields.name,
    comparisons,
  };
}

/** About: the commas in a list of values count, too. */
const requirementsOf = (query = ''): number => 1 + query.split(',').length;

/** The revision that the list shows, and the key after which it begins. */
function snapshotOf(store: Store, request: ListRequest): { revision: number; after: string } {
  const { resourceVersion, resourceVersionMatch } = request;
  if (request.continue) {
    if (resourceVersionMatch) {
      throw unprocessable('resourceVersionMatch is forbidden when continue is provided');
    }
    const token = decodeContinue(request.continue);
    if (token.revision > store.revision) throw badRequest('continue key is not valid: it is of a time to come');
    return { revision: token.revision || store.revision, after: token.after };
  }
  const asked = parseRevision(resourceVersion);
  if (resourceVersionMatch) {
    if (resourceVersion === undefined || resourceVersion === '') {
      throw unprocessable('resourceVersionMatch is forbidden unless resourceVersion is provided');
    }
    if (!['Exact', 'NotOlderThan'].includes(resourceVersionMatch)) {
      throw unprocessable(`resourceVersionMatch ${JSON.stringify(resourceVersionMatch)} is not supported`);
    }
    if (resourceVersionMatch === 'Exact' && asked === 0) {
      throw unprocessable('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
    }
  }
  if (asked > store.revision) throw tooLarge(asked, store.revision);
  const isExact = resourceVersionMatch === 'Exact' || (request.limit && !resourceVersionMatch && asked > 0);
  return { revision: isExact ? asked : store.revision, after: '' };
}

/** The number of a resourceVersion; 0 when there is none. 400 when it is not one. */
export function parseRevision(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`invalid resource version ${JSON.stringify(text)}`);
  return Number(text);
}

const unprocessable = (message: string) => new ApiError(422, 'Invalid', message);

function tooLarge(asked: number, current: number): ApiError {
  const message = `Too large resource version: ${asked}, current: ${current}`;
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return new ApiError(504, 'Timeout', message, { causes, retryAfterSeconds: 1 });
}

/** 410; for a page, with a token in `details` that goes on from the same key with what is there now. */
function expired(isPage: boolean, revision: number, after: string): ApiError {
  if (!isPage) return new ApiError(410, 'Expired', 'The resourceVersion for the provided list is too old.');
  const message =
    'The provided continue parameter is too old to display a consistent list result. You can start a new list ' +
    'without the continue parameter, or use the continue token in this response to retrieve the remainder of the ' +
    'results. Continuing with the provided token results in an inconsistent list - objects that were created, ' +
    'modified, or deleted between the time the first chunk was returned and now may show up in the list.';
  const error = new ExpiredPage(410, 'Expired', message);
  error.continueToken = encodeContinue({ revision, after });
  return error;
}

/** Its Status carries a token to go on with, in `metadata.continue`. */
class ExpiredPage extends ApiError {
  continueToken = '';

  override toStatus() {
    return { ...super.toStatus(), metadata: { continue: this.continueToken } };
  }
}
