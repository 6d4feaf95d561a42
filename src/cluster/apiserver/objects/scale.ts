import { fieldInvalid } from '../../../api/field-error.ts';
import type { KubeObject, LabelSelector } from '../../../api/meta.ts';
import { selectorText } from '../../../api/selector.ts';
import { badRequest, invalid } from '../../../api/status.ts';
import type { ServedResource } from '../resources.ts';
import { copyJson, field, isJsonObject, type JsonObject, setField } from '../schema/json.ts';

/** autoscaling/v1 Scale: the one shape in which the number of replicas of any kind is read and written. */
export interface Scale extends KubeObject {
  spec: { replicas?: number };
  status: { replicas: number; selector?: string };
}

/** The Scale of an object of a resource that has the scale subresource. */
export function scaleOf(resource: ServedResource, object: KubeObject): Scale {
  const paths = pathsOf(resource);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = at(object, paths.specReplicasPath);
  const current = at(object, paths.statusReplicasPath);
  const selector = paths.labelSelectorPath === undefined ? undefined : at(object, paths.labelSelectorPath);
  const scale = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: typeof replicas === 'number' ? replicas : 0 },
    status: {
      replicas: typeof current === 'number' ? current : 0,
      selector: selectorOf(resource, selector),
    },
  };
  return copyJson(scale) as Scale;
}

/** A copy of `object` with the replicas that `scale` asks for. 422 when that is not a number of replicas. */
export function withScale(resource: ServedResource, object: KubeObject, scale: unknown): KubeObject {
  const { name } = object.metadata;
  if (!isJsonObject(scale) || scale.kind !== 'Scale') throw badRequest('the body of the scale subresource is a Scale');
  const spec = isJsonObject(scale.spec) ? scale.spec : {};
  const metadata = isJsonObject(scale.metadata) ? scale.metadata : {};
  const replicas = spec.replicas ?? 0;
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    const kind = { group: 'autoscaling', plural: 'scales', kind: 'Scale' };
    throw invalid(kind, name, [fieldInvalid('spec.replicas', replicas, 'must be a whole number, 0 or more')]);
  }
  if (metadata.name !== undefined && metadata.name !== name) {
    throw badRequest(`the name of the object (${String(metadata.name)}) does not match the name on the URL (${name})`);
  }
  const next = copyJson(object);
  const { resourceVersion, uid } = metadata;
  if (typeof resourceVersion === 'string' && resourceVersion !== '') next.metadata.resourceVersion = resourceVersion;
  if (typeof uid === 'string' && uid !== '') next.metadata.uid = uid;
  put(next as unknown as JsonObject, pathsOf(resource).specReplicasPath, replicas);
  return next;
}

function pathsOf({ kind }: ServedResource) {
  if (!kind.scale) throw badRequest(`${kind.plural} have no scale subresource`);
  return kind.scale;
}

/** Built-ins have selectors, which their rules have checked; custom resources give theirs as text. */
function selectorOf({ isBuiltin }: ServedResource, selector: unknown): string | undefined {
  if (isBuiltin && isJsonObject(selector)) return selectorText(selector as LabelSelector);
  return typeof selector === 'string' ? selector : undefined;
}

/** Follows a simple JSONPath such as `.spec.replicas`. */
function at(object: unknown, path: string): unknown {
  let value = object;
  for (const step of stepsOf(path)) value = isJsonObject(value) ? field(value, step) : undefined;
  return value;
}

function put(object: JsonObject, path: string, value: unknown): void {
  const steps = stepsOf(path);
  const last = steps.pop() ?? '';
  let parent = object;
  for (const step of steps) {
    const child = field(parent, step);
    if (isJsonObject(child)) parent = child;
    else {
      const made: JsonObject = {};
      setField(parent, step, made);
      parent = made;
    }
  }
  setField(parent, last, value);
}

const stepsOf = (path: string) => path.split('.').filter((step) => step !== '');
