import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { NamespaceKind } from '../../../api/core/namespace.ts';
import type { PersistentVolume } from '../../../api/core/persistent-volume.ts';
import type { PersistentVolumeClaim } from '../../../api/core/persistent-volume-claim.ts';
import { apiVersionOf } from '../../../api/kind.ts';
import { isAlreadyExists } from '../../../api/status.ts';
import { type StorageClass, StorageClassKind } from '../../../api/storage/storage-class.ts';
import type { Controller } from '../../../kube/reconciler.ts';
import { kubeController } from '../users.ts';

/** The class of volumes that are folders of this machine, and who makes them. */
export const localPath = 'local-path';
export const localPathProvisioner = 'kittiwake.dev/local-path';
export const provisionedBy = 'pv.kubernetes.io/provisioned-by';

/** The volume that a claim of the class gets: it has a name of its own for ever, that of the claim's uid. */
export function volumeOf(
  claim: PersistentVolumeClaim,
  { metadata, reclaimPolicy = 'Delete', mountOptions }: StorageClass,
  dir: string,
): PersistentVolume {
  const { namespace = 'default', name, uid = '' } = claim.metadata;
  const volumeName = `pvc-${uid}`;
  const { accessModes, resources, volumeMode } = claim.spec;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName, annotations: { [provisionedBy]: localPathProvisioner } },
    spec: {
      capacity: { storage: resources?.requests?.storage ?? '0' },
      ...(accessModes && { accessModes }),
      ...(volumeMode && { volumeMode }),
      ...(mountOptions && { mountOptions }),
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
      persistentVolumeReclaimPolicy: reclaimPolicy,
      storageClassName: metadata.name,
      hostPath: { path: join(dir, volumeName), type: 'DirectoryOrCreate' },
    },
  };
}

/** Makes the volume's folder: whatever user a container is, it may write there. */
export async function makeFolder(dir: string, { metadata: { name } }: PersistentVolume): Promise<void> {
  const folder = join(dir, name);
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o777);
}

/** Removes the folder of a volume that was made here: by its name, whatever path the object says. */
export async function removeFolder(dir: string, { metadata: { name } }: PersistentVolume): Promise<void> {
  if (/^pvc-[0-9a-f-]{36}$/.test(name)) await rm(join(dir, name), { recursive: true, force: true, maxRetries: 3 });
}

export const isLocalPath = ({ metadata }: PersistentVolume): boolean =>
  metadata.annotations?.[provisionedBy] === localPathProvisioner;

/** Sees to it that there is the class `local-path`, which claims get that name none; what is there is left alone. */
export function localPathClassController(): Controller {
  return {
    name: 'storage-class',
    user: kubeController('persistent-volume-binder'),
    kind: NamespaceKind,
    async reconcile({ metadata: { name } }, { client }) {
      if (name !== 'default' || (await client.get(StorageClassKind, { name: localPath }))) return;
      try {
        await client.create(StorageClassKind, {
          apiVersion: apiVersionOf(StorageClassKind),
          kind: StorageClassKind.kind,
          metadata: {
            name: localPath,
            annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
          },
          provisioner: localPathProvisioner,
          reclaimPolicy: 'Delete',
          volumeBindingMode: 'WaitForFirstConsumer',
        });
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    },
  };
}
