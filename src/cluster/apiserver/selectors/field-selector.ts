import type { KubeObject } from '../../../api/meta.ts';
import { badRequest } from '../../../api/status.ts';
import { isJsonObject } from '../../../lib/json-object.ts';
import type { ServedResource } from '../resources.ts';

export type FieldMatcher = (object: KubeObject) => boolean;

interface Term {
  path: readonly string[];
  /** What an absent field is compared as. */
  zero: string;
  isEqual: boolean;
  value: string;
}

export interface FieldSelector {
  /** Undefined when everything is selected. */
  matches: FieldMatcher | undefined;
  /** The name that `metadata.name=…` asks for. */
  name: string | undefined;
}

/**
 * Compiles `metadata.name=x,status.phase!=Running`. 400 when it is malformed, or names a field that the resource does
 * not offer. A field that is absent is compared as the zero of its type, as in Go: the empty string for most.
 */
export function compileFieldSelector(query: string | undefined, resource: ServedResource): FieldSelector {
  const terms = splitUnescaped(query ?? '').map((term) => parseTerm(term, resource));
  const name = terms.find((term) => term.isEqual && term.path.join('.') === 'metadata.name')?.value;
  if (terms.length === 0) return { matches: undefined, name };
  const matches: FieldMatcher = (object) =>
    terms.every(({ path, zero, isEqual, value }) => ((valueAt(object, path) ?? zero) === value) === isEqual);
  return { matches, name };
}

/** The one name that a selector lets through, read as it is compiled: what is allowed by it is what is answered. */
export function nameSelected(query: string | undefined): string | undefined {
  const terms = splitUnescaped(query ?? '').map(readTerm);
  return terms.find((term) => term?.isEqual && term.path === 'metadata.name')?.value;
}

function parseTerm(term: string, resource: ServedResource): Term {
  const read = readTerm(term);
  if (!read) throw badRequest(`invalid field selector: ${JSON.stringify(term)}`);
  const { isEqual, path, value } = read;
  const zero = zeroOf(path, resource);
  if (zero === undefined) throw badRequest(`field label not supported: ${path}`);
  return { path: path.split('.'), zero, isEqual, value };
}

function readTerm(term: string): { path: string; isEqual: boolean; value: string } | undefined {
  const parsed = /^\s*([^=!\s]+)\s*(==|=|!=)(.*)$/s.exec(term);
  if (!parsed) return undefined;
  const [, path = '', operator, value = ''] = parsed;
  return { path, isEqual: operator !== '!=', value: value.trim().replace(/\\([\\,=])/g, '$1') };
}

/** What the field is compared as when it is absent; undefined when it is not offered. */
function zeroOf(path: string, { kind, strategy }: ServedResource): string | undefined {
  if (path === 'metadata.name') return '';
  if (path === 'metadata.namespace') return kind.isNamespaced ? '' : undefined;
  const { selectableFields = {} } = strategy;
  return Object.hasOwn(selectableFields, path) ? selectableFields[path] : undefined;
}

function valueAt(object: KubeObject, path: readonly string[]): string | undefined {
  let at: unknown = object;
  for (const step of path) at = isJsonObject(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  if (at === undefined || at === null) return undefined;
  // An object has no text of its own, and may have a `toString` that is no function.
  return typeof at === 'object' ? JSON.stringify(at) : String(at);
}

function splitUnescaped(query: string): string[] {
  return (query.match(/(?:\\.|[^,\\])+/gs) ?? []).filter((term) => term.trim() !== '');
}
