import { fieldInvalid } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject, LabelSelector } from '../../../api/meta.ts';
import { integer, object, string } from '../../../api/schema.ts';
import { selectorText } from '../../../api/selector.ts';
import { badRequest, invalid } from '../../../api/status.ts';
import { isJsonObject, type JsonObject } from '../../../lib/json-object.ts';
import { copyJson, field, setField } from '../schema/json.ts';
import type { View } from '../strategy.ts';

/** autoscaling/v1 Scale: the one shape in which the number of replicas of any kind is read and written. */
interface Scale extends KubeObject {
  spec: { replicas?: number };
  status: { replicas: number; selector?: string };
}

const ScaleKind = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  schema: object({
    spec: object({ replicas: integer() }),
    status: object({ replicas: integer(), selector: string() }),
  }),
};

/** The scale subresource of a kind that says where its replicas are. */
export function scaleOfKind(paths: NonNullable<Kind['scale']>, isBuiltin: boolean): View {
  return {
    type: 'view',
    verbs: ['get', 'patch', 'update'],
    kind: ScaleKind,
    of: (object) => scaleOf(object, paths, isBuiltin),
    decode,
    put(object, scale) {
      const next = copyJson(object);
      put(next as unknown as JsonObject, paths.specReplicasPath, (scale as Scale).spec.replicas);
      return next;
    },
  };
}

function scaleOf(object: KubeObject, paths: NonNullable<Kind['scale']>, isBuiltin: boolean): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = at(object, paths.specReplicasPath);
  const current = at(object, paths.statusReplicasPath);
  const selector = paths.labelSelectorPath === undefined ? undefined : at(object, paths.labelSelectorPath);
  const scale = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: typeof replicas === 'number' ? replicas : 0 },
    status: { replicas: typeof current === 'number' ? current : 0, selector: selectorOf(selector, isBuiltin) },
  };
  return copyJson(scale) as Scale;
}

/** The Scale that was sent. 422 when what it asks for is not a number of replicas. */
function decode(body: unknown, name: string): KubeObject {
  if (!isJsonObject(body) || body.kind !== ScaleKind.kind)
    throw badRequest('the body of the scale subresource is a Scale');
  const { replicas = 0 } = isJsonObject(body.spec) ? body.spec : {};
  if (typeof replicas !== 'number' || !Number.isInteger(replicas) || replicas < 0) {
    const kind = { ...ScaleKind, plural: 'scales' };
    throw invalid(kind, name, [fieldInvalid('spec.replicas', replicas, 'must be a whole number, 0 or more')]);
  }
  const given = isJsonObject(body.metadata) ? body.metadata : {};
  const texts = Object.entries(given).filter(([, value]) => typeof value === 'string');
  return { ...body, metadata: Object.fromEntries(texts), spec: { replicas } } as unknown as KubeObject;
}

/** Built-ins have selectors, which their rules have checked; custom resources give theirs as text. */
function selectorOf(selector: unknown, isBuiltin: boolean): string | undefined {
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
