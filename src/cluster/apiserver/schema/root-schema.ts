import type { Kind } from '../../../api/kind.ts';
import { array, boolean, integer, map, object, type Schema, string } from '../../../api/schema.ts';

const time = string({ format: 'date-time', nullable: true });

/** ObjectMeta, as all objects have it; a CRD's own schema of it is ignored, as in Kubernetes. */
const metadataSchema: Schema = object({
  name: string(),
  generateName: string(),
  namespace: string(),
  selfLink: string(),
  uid: string(),
  resourceVersion: string(),
  generation: integer({ format: 'int64' }),
  creationTimestamp: time,
  deletionTimestamp: time,
  deletionGracePeriodSeconds: integer({ format: 'int64' }),
  labels: map(),
  annotations: map(),
  finalizers: array(string(), { 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' }),
  ownerReferences: array(
    object(
      {
        apiVersion: string(),
        kind: string(),
        name: string(),
        uid: string(),
        controller: boolean(),
        blockOwnerDeletion: boolean(),
      },
      { required: ['apiVersion', 'kind', 'name', 'uid'] },
    ),
    {
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      'x-kubernetes-patch-strategy': 'merge',
      'x-kubernetes-patch-merge-key': 'uid',
    },
  ),
  managedFields: array(
    object({
      manager: string(),
      operation: string(),
      apiVersion: string(),
      time,
      fieldsType: string(),
      fieldsV1: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      subresource: string(),
    }),
    { 'x-kubernetes-list-type': 'atomic' },
  ),
});

const typeProperties = { apiVersion: string(), kind: string() };

const roots = new WeakMap<Schema, Schema>();

/** The kind's schema with apiVersion, kind and metadata, which it leaves out. */
export function rootSchema(kind: Pick<Kind, 'schema'>): Schema {
  let root = roots.get(kind.schema);
  if (!root) {
    const properties = { ...kind.schema.properties, ...typeProperties, metadata: metadataSchema };
    root = { ...kind.schema, type: 'object', properties };
    roots.set(kind.schema, root);
  }
  return root;
}

/** The fields of an embedded resource that its schema need not name. */
export const embeddedProperties: Record<string, Schema> = { ...typeProperties, metadata: metadataSchema };
