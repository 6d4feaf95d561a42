import {
  anything,
  array,
  boolean,
  integer,
  intOrString,
  map,
  mapList,
  object,
  type Schema,
  string,
} from '../schema.ts';

export interface KeyToPath {
  key: string;
  path: string;
  mode?: number;
}

export interface VolumeProjection {
  configMap?: { name: string; items?: KeyToPath[]; optional?: boolean };
  secret?: { name: string; items?: KeyToPath[]; optional?: boolean };
  downwardAPI?: { items?: DownwardFile[] };
  serviceAccountToken?: { audience?: string; expirationSeconds?: number; path: string };
}

export interface DownwardFile {
  path: string;
  fieldRef?: { apiVersion?: string; fieldPath: string };
  resourceFieldRef?: { containerName?: string; resource: string; divisor?: string };
  mode?: number;
}

/** One volume of a pod: the name and exactly one source. Sources that only some drivers know are kept as they are. */
export interface Volume {
  name: string;
  emptyDir?: { medium?: string; sizeLimit?: string };
  configMap?: { name: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  secret?: { secretName: string; items?: KeyToPath[]; defaultMode?: number; optional?: boolean };
  projected?: { sources?: VolumeProjection[]; defaultMode?: number };
  downwardAPI?: { items?: DownwardFile[]; defaultMode?: number };
  hostPath?: { path: string; type?: string };
  persistentVolumeClaim?: { claimName: string; readOnly?: boolean };
  csi?: Record<string, unknown>;
  ephemeral?: Record<string, unknown>;
  nfs?: Record<string, unknown>;
  image?: { reference?: string; pullPolicy?: string };
}

export interface VolumeMount {
  name: string;
  mountPath: string;
  subPath?: string;
  subPathExpr?: string;
  readOnly?: boolean;
  recursiveReadOnly?: string;
  mountPropagation?: string;
}

export const volumeMountSchema: Schema = object(
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

const keyToPath = array(
  object({ key: string(), path: string(), mode: integer({ format: 'int32' }) }, { required: ['key', 'path'] }),
);
const mode = integer({ format: 'int32' });
const downwardFiles = array(
  object(
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
  ),
);

export const volumeSchema: Schema = object(
  {
    name: string({ description: 'A DNS label, unique within the pod.' }),
    emptyDir: object({ medium: string(), sizeLimit: intOrString() }),
    configMap: object({ name: string(), items: keyToPath, defaultMode: mode, optional: boolean() }),
    secret: object({ secretName: string(), items: keyToPath, defaultMode: mode, optional: boolean() }),
    projected: object({
      sources: array(
        object({
          configMap: object({ name: string(), items: keyToPath, optional: boolean() }),
          secret: object({ name: string(), items: keyToPath, optional: boolean() }),
          downwardAPI: object({ items: downwardFiles }),
          serviceAccountToken: object(
            { audience: string(), expirationSeconds: integer({ format: 'int64' }), path: string() },
            { required: ['path'] },
          ),
          clusterTrustBundle: anything(),
        }),
      ),
      defaultMode: mode,
    }),
    downwardAPI: object({ items: downwardFiles, defaultMode: mode }),
    hostPath: object({ path: string(), type: string() }, { required: ['path'] }),
    persistentVolumeClaim: object({ claimName: string(), readOnly: boolean() }, { required: ['claimName'] }),
    csi: object(
      {
        driver: string(),
        fsType: string(),
        nodePublishSecretRef: object({ name: string() }),
        readOnly: boolean(),
        volumeAttributes: map(),
      },
      { required: ['driver'] },
    ),
    ephemeral: object({ volumeClaimTemplate: anything() }),
    nfs: object({ server: string(), path: string(), readOnly: boolean() }, { required: ['server', 'path'] }),
    image: object({ reference: string(), pullPolicy: string() }),
    iscsi: anything(),
  },
  { required: ['name'] },
);

export const volumesSchema: Schema = {
  ...mapList(volumeSchema, ['name']),
  'x-kubernetes-patch-strategy': 'merge,retainKeys',
};
