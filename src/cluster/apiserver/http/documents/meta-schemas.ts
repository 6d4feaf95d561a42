import { anything, array, boolean, integer, map, object, type Schema, string } from '../../../../api/schema.ts';

/** The name under which Kubernetes publishes the schemas of meta/v1. */
export const metaVersion = 'io.k8s.apimachinery.pkg.apis.meta.v1';

const time = string({ format: 'date-time' });

const ownerReference: Schema = object(
  {
    apiVersion: string(),
    kind: string(),
    name: string(),
    uid: string(),
    controller: boolean({ description: 'Whether this owner is the one that manages the object.' }),
    blockOwnerDeletion: boolean({ description: 'A foreground deletion of the owner waits for this object.' }),
  },
  { required: ['apiVersion', 'kind', 'name', 'uid'], description: 'An object that this one is deleted with.' },
);

const objectMeta: Schema = object(
  {
    name: string({ description: 'Unique within a namespace, for the kind; it cannot change.' }),
    generateName: string({ description: 'With no name given: the prefix of the name that the server makes up.' }),
    namespace: string({ description: 'The space within which the name is unique.' }),
    uid: string({ description: 'Unique in time and space; set by the server.' }),
    resourceVersion: string({ description: 'Changes with the object; an update that names an older one is refused.' }),
    generation: integer({ format: 'int64', description: 'Counts the changes of the desired state.' }),
    creationTimestamp: { ...time, description: 'When the object was created; set by the server.' },
    deletionTimestamp: { ...time, description: 'When the deletion was asked for; set by the server.' },
    deletionGracePeriodSeconds: integer({ format: 'int64', description: 'The time to end in good order.' }),
    labels: map(string(), { description: 'Keys and values to select objects by.' }),
    annotations: map(string(), { description: 'Keys and values for people and tools; not for selection.' }),
    finalizers: array(string(), {
      description: 'Who must do something before the object is gone.',
      'x-kubernetes-list-type': 'set',
      'x-kubernetes-patch-strategy': 'merge',
    }),
    ownerReferences: array(ownerReference, {
      description: 'The objects that this one belongs to; when all are gone, it is deleted.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['uid'],
      'x-kubernetes-patch-merge-key': 'uid',
      'x-kubernetes-patch-strategy': 'merge',
    }),
    managedFields: array(anything(), {
      description: 'Who set which fields; kept by the server.',
      'x-kubernetes-list-type': 'atomic',
    }),
    selfLink: string({ description: 'No longer set.' }),
  },
  { description: 'What every object has: its name, its labels, its life.' },
);

const listMeta: Schema = object({
  resourceVersion: string({ description: 'The state that the list shows.' }),
  continue: string({ description: 'Asks for the next page.' }),
  remainingItemCount: integer({ format: 'int64', description: 'How many more there are.' }),
  selfLink: string({ description: 'No longer set.' }),
});

const status: Schema = object({
  apiVersion: string(),
  kind: string(),
  metadata: listMeta,
  status: string({ description: 'Success or Failure.' }),
  message: string(),
  reason: string(),
  details: anything(),
  code: integer({ format: 'int32' }),
});

/** The schemas that every document needs. */
export const metaSchemas: Record<string, Schema> = {
  [`${metaVersion}.ObjectMeta`]: objectMeta,
  [`${metaVersion}.OwnerReference`]: ownerReference,
  [`${metaVersion}.ListMeta`]: listMeta,
  [`${metaVersion}.Status`]: status,
  [`${metaVersion}.Patch`]: { type: 'object', description: 'A change of an object.' },
};
