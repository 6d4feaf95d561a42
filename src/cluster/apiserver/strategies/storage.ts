import { type PersistentVolume, PersistentVolumeKind, volumeProtection } from '../../../api/core/persistent-volume.ts';
import {
  claimProtection,
  type PersistentVolumeClaim,
  PersistentVolumeClaimKind,
} from '../../../api/core/persistent-volume-claim.ts';
import type { KubeObject } from '../../../api/meta.ts';
import {
  defaultClassOf,
  isDefaultClass,
  type StorageClass,
  StorageClassKind,
} from '../../../api/storage/storage-class.ts';
import { ageColumn, columnsFrom, nameColumn, table } from '../http/table/column.ts';
import { tableName } from '../served-resource.ts';
import type { Strategy } from '../strategy.ts';

export const storageClasses: Strategy<StorageClass> = {
  kind: StorageClassKind,
  columns: [
    {
      ...nameColumn,
      cell: (object) => `${object.metadata.name}${isDefaultClass(object as StorageClass) ? ' (default)' : ''}`,
    },
    ...columnsFrom<StorageClass>({
      Provisioner: ({ provisioner }) => provisioner,
      ReclaimPolicy: ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete',
      VolumeBindingMode: ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate',
      AllowVolumeExpansion: ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false,
    }),
    ageColumn,
  ],
};

export const persistentVolumes: Strategy<PersistentVolume> = {
  kind: PersistentVolumeKind,
  columns: table<PersistentVolume>({
    Capacity: ({ spec }) => text(spec.capacity?.storage),
    'Access Modes': ({ spec }) => modesText(spec.accessModes),
    'Reclaim Policy': ({ spec }) => spec.persistentVolumeReclaimPolicy,
    Status: (volume) => phaseOf(volume, volume.status?.phase),
    Claim: ({ spec: { claimRef } }) => (claimRef ? `${claimRef.namespace}/${claimRef.name}` : ''),
    StorageClass: ({ spec }) => spec.storageClassName ?? '',
    VolumeAttributesClass: ({ spec }) => spec.volumeAttributesClassName ?? '<unset>',
    Reason: ({ status }) => status?.reason ?? '',
    '+VolumeMode': ({ spec }) => spec.volumeMode ?? '<unset>',
  }),
  prepareForCreate(volume) {
    volume.status = { phase: 'Pending' };
    protect(volume, volumeProtection);
  },
};

export const persistentVolumeClaims: Strategy<PersistentVolumeClaim> = {
  kind: PersistentVolumeClaimKind,
  columns: table<PersistentVolumeClaim>({
    Status: (claim) => phaseOf(claim, claim.status?.phase),
    Volume: ({ spec }) => spec.volumeName ?? '',
    Capacity: ({ spec, status }) => (spec.volumeName ? text(status?.capacity?.storage) : ''),
    'Access Modes': ({ spec, status }) => (spec.volumeName ? modesText(status?.accessModes) : ''),
    StorageClass: ({ spec }) => spec.storageClassName ?? '',
    VolumeAttributesClass: ({ spec }) => spec.volumeAttributesClassName ?? '<unset>',
    '+VolumeMode': ({ spec }) => spec.volumeMode ?? '<unset>',
  }),
  prepareForCreate(claim) {
    claim.status = { phase: 'Pending' };
    protect(claim, claimProtection);
  },
  /** A claim that names no class gets the default one (Kubernetes' DefaultStorageClass). */
  allocate({ store }, claim, old) {
    if (old || claim.spec.storageClassName !== undefined) return;
    const rows = store.table(tableName(StorageClassKind)).rows();
    const found = defaultClassOf(rows.map(([, { object }]) => object as StorageClass));
    if (found) claim.spec.storageClassName = found.metadata.name;
  },
};

function protect(object: KubeObject, finalizer: string): void {
  const { finalizers = [] } = object.metadata;
  if (!finalizers.includes(finalizer)) object.metadata.finalizers = [...finalizers, finalizer];
}

const text = (value: string | number | undefined) => String(value ?? '');
const phaseOf = ({ metadata }: KubeObject, phase = '') => (metadata.deletionTimestamp ? 'Terminating' : phase);

const shortModes: Record<string, string> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};
const modesText = (modes: readonly string[] = []) => modes.map((mode) => shortModes[mode] ?? mode).join(',');
