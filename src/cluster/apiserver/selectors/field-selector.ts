import type { KubeObject } from '../../../api/meta.ts';
import { badRequest } from '../../../api/status.ts';
import type { ServedResource } from '../resources.ts';
import { isJsonObject } from '../schema/json.ts';

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

function parseTerm(term: string, resource: ServedResource): Term {
  const parsed = /^\s*([^=!\s]+)\s*(==|=|!=)(.*)$/s.exec(term);
  if (!parsed) throw badRequest(`invalid field selector: ${JSON.stringify(term)}`);
  const [, path = '', operator, value = ''] = parsed;
  if (!isOffered(path, resource)) throw badRequest(`field label not supported: ${path}`);
  const zero = resource.isBuiltin ? (zeros[path] ?? '') : '';
  const wanted = value.trim().replace(/\\([\\,=])/g, '$1');
  return { path: path.split('.'), zero, isEqual: operator !== '!=', value: wanted };
}

function isOffered(path: string, resource: ServedResource): boolean {
  if (path === 'metadata.name') return true;
  if (path === 'metadata.namespace') return resource.kind.isNamespaced;
  return resource.selectableFields.includes(path);
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

/** Selectable fields of built-ins that are no texts. */
const zeros: Record<string, string> = {
  'spec.unschedulable': 'false',
  'spec.hostNetwork': 'false',
  'status.replicas': '0',
};

/** Fields of built-in resources that field selectors may name, by `group/plural` (as in Kubernetes' strategies). */
export const builtinSelectableFields: Record<string, readonly string[]> = {
  '/pods': [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  '/events': [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source.component',
    'type',
  ],
  '/secrets': ['type'],
  '/namespaces': ['status.phase'],
  '/nodes': ['spec.unschedulable'],
  '/services': ['spec.clusterIP', 'spec.type'],
  'apps/replicasets': ['status.replicas'],
};
