import { atomicList, integer, map, mapList, object, type Schema, string, type ValueOf } from './schema.ts';

/** Metadata of every object (Kubernetes API conventions, "Metadata"). Times are RFC 3339 with whole seconds. */
export interface ObjectMeta {
  name: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: unknown[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Where `kubectl apply` keeps what it applied last. */
export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** At the bookmark with which the objects of a watch's beginning end. */
export const initialEventsEnd = 'k8s.io/initial-events-end';

/** What every object has. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

export const conditionFields = {
  type: string(),
  status: string({ enum: ['True', 'False', 'Unknown'] }),
  reason: string(),
  message: string(),
  /** Absent or '', it counts towards Ready; 'Info' and 'Warning' do not. */
  severity: string(),
  lastTransitionTime: string(),
  lastUpdateTime: string(),
  lastProbeTime: string({ nullable: true }),
  observedGeneration: integer(),
};
const conditionSchema = object(conditionFields, { required: ['type', 'status'] });

/** A condition as Kubernetes and Knative have it. */
export interface Condition extends ValueOf<typeof conditionSchema> {}

export const conditionsSchema: Schema<Condition[]> = mapList(conditionSchema, ['type']);

/** What every status of Knative's has. */
export const statusFields = {
  conditions: conditionsSchema,
  observedGeneration: integer({ format: 'int64' }),
  annotations: map(),
};

export interface Conditioned {
  conditions?: Condition[];
  observedGeneration?: number;
}

/** What the object's status says of `type`. */
export const conditionOf = (object: { status?: Conditioned } | undefined, type: string): Condition | undefined =>
  object?.status?.conditions?.find((condition) => condition.type === type);

/** Names one object of a known kind; `namespace` is absent for cluster-scoped kinds. */
export interface Key {
  namespace?: string;
  name: string;
}

export const labelSelectorSchema = object({
  matchLabels: map(),
  matchExpressions: atomicList(
    object({ key: string(), operator: string(), values: atomicList(string()) }, { required: ['key', 'operator'] }),
  ),
});

/** The operators are In, NotIn, Exists and DoesNotExist. */
export interface LabelSelector extends ValueOf<typeof labelSelectorSchema> {}

/** Where the object is. */
export const keyOf = (object: KubeObject): Key => siblingKey(object, object.metadata.name);

/** The key of another object beside this one, in its namespace. */
export function siblingKey({ metadata: { namespace } }: KubeObject, name: string): Key {
  return namespace === undefined ? { name } : { namespace, name };
}

/** What a list takes that is to be of the object's namespace; all, for an object that has none. */
export function inNamespaceOf({ metadata: { namespace } }: KubeObject): Pick<Key, 'namespace'> {
  return namespace === undefined ? {} : { namespace };
}

/** `namespace/name`, or `name` for cluster-scoped objects: for maps and logs. */
export function keyText(key: Key): string {
  return key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
}

/** The inverse of keyText. */
export function parseKeyText(text: string): Key {
  const slash = text.indexOf('/');
  return slash < 0 ? { name: text } : { namespace: text.slice(0, slash), name: text.slice(slash + 1) };
}

/** RFC 3339 with whole seconds: milliseconds would break byte equality in Go clients. */
export function timestamp(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
}

/** Kubernetes' MicroTime: exactly six digits after the second. */
export const microTime = (nowMs: number): string => new Date(nowMs).toISOString().replace('Z', '000Z');

/** The owner reference that makes `owner` the controller of a dependent. */
export function controllerReference(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}
