import { labelSelectorSchema } from '../meta.ts';
import { atomicList, boolean, integer, intOrString, map, mapList, object, string, type ValueOf } from '../schema.ts';
import { foreignVolumeFields } from './foreign-volume.ts';

export const volumeMountSchema = object(
  {
    name: string({ description: 'The name of a volume of the pod.' }),
    mountPath: string({ description: 'The path within the container at which the volume is mounted.' }),
    subPath: string(),
    subPathExpr: string(),
    readOnly: boolean(),
    recursiveReadOnly: string(),
    mountPropagation: string(),
  },
  { required: ['name', 'mountPath'] },
);

export interface VolumeMount extends ValueOf<typeof volumeMountSchema> {}

const mode = integer({ format: 'int32' });
const keyToPathSchema = object({ key: string(), path: string(), mode }, { required: ['key', 'path'] });

export interface KeyToPath extends ValueOf<typeof keyToPathSchema> {}

const keysToPaths = atomicList(keyToPathSchema);
const localReference = object({ name: string() });

const downwardFileSchema = object(
  {
    path: string(),
    fieldRef: object({ apiVersion: string(), fieldPath: string() }, { required: ['fieldPath'] }),
    resourceFieldRef: object(
      { containerName: string(), resource: string(), divisor: intOrString() },
      { required: ['resource'] },
    ),
    mode,
  },
  { required: ['path'] },
);

export interface DownwardFile extends ValueOf<typeof downwardFileSchema> {}

const downwardFiles = atomicList(downwardFileSchema);

const projectionSchema = object({
  configMap: object({ name: string(), items: keysToPaths, optional: boolean() }, { present: ['name'] }),
  secret: object({ name: string(), items: keysToPaths, optional: boolean() }, { present: ['name'] }),
  downwardAPI: object({ items: downwardFiles }),
  serviceAccountToken: object(
    { audience: string(), expirationSeconds: integer({ format: 'int64' }), path: string() },
    { required: ['path'] },
  ),
  clusterTrustBundle: object(
    {
      name: string(),
      signerName: string(),
      labelSelector: labelSelectorSchema,
      optional: boolean(),
      path: string(),
    },
    { required: ['path'] },
  ),
});

export interface VolumeProjection extends ValueOf<typeof projectionSchema> {}

/** What a PersistentVolumeClaim asks for. */
export const claimSpecSchema = object({
  accessModes: atomicList(string()),
  selector: labelSelectorSchema,
  resources: object({ limits: map(intOrString()), requests: map(intOrString()) }),
  volumeName: string(),
  storageClassName: string(),
  volumeMode: string(),
  volumeAttributesClassName: string(),
  dataSource: object({ apiGroup: string(), kind: string(), name: string() }),
  dataSourceRef: object({ apiGroup: string(), kind: string(), name: string(), namespace: string() }),
});

const volumeSchema = object(
  {
    name: string({ description: 'A DNS label, unique within the pod.' }),
    emptyDir: object({ medium: string(), sizeLimit: intOrString() }),
    configMap: object(
      { name: string(), items: keysToPaths, defaultMode: mode, optional: boolean() },
      { present: ['name'] },
    ),
    secret: object(
      { secretName: string(), items: keysToPaths, defaultMode: mode, optional: boolean() },
      { present: ['secretName'] },
    ),
    projected: object({ sources: atomicList(projectionSchema), defaultMode: mode }),
    downwardAPI: object({ items: downwardFiles, defaultMode: mode }),
    hostPath: object({ path: string(), type: string() }, { required: ['path'] }),
    persistentVolumeClaim: object({ claimName: string(), readOnly: boolean() }, { required: ['claimName'] }),
    csi: object(
      {
        driver: string(),
        fsType: string(),
        nodePublishSecretRef: localReference,
        readOnly: boolean(),
        volumeAttributes: map(),
      },
      { required: ['driver'] },
    ),
    ephemeral: object({
      volumeClaimTemplate: object(
        { metadata: object({ labels: map(), annotations: map() }), spec: claimSpecSchema },
        { required: ['spec'] },
      ),
    }),
    nfs: object({ server: string(), path: string(), readOnly: boolean() }, { required: ['server', 'path'] }),
    image: object({ reference: string(), pullPolicy: string() }),
    ...foreignVolumeFields,
  },
  { required: ['name'] },
);

/** One volume of a pod: the name and exactly one source. No driver of ours has the foreign ones. */
export interface Volume extends ValueOf<typeof volumeSchema> {}

export const volumesSchema = {
  ...mapList(volumeSchema, ['name']),
  'x-kubernetes-patch-strategy': 'merge,retainKeys',
};
