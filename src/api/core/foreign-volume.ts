import { atomicList, boolean, integer, map, object, string } from '../schema.ts';

/**
 * Volumes of systems that no driver of ours reaches. They are valid in a pod all the same: it waits for them, and Pod
 * Security judges them by name.
 */

const int32 = integer({ format: 'int32' });
const text = string();
const fsType = string();
const readOnly = boolean();
const secretRef = object({ name: string() });
const texts = atomicList(string());

export const foreignVolumeFields = {
  iscsi: object(
    {
      targetPortal: text,
      portals: texts,
      iqn: text,
      lun: int32,
      iscsiInterface: text,
      fsType,
      readOnly,
      chapAuthDiscovery: boolean(),
      chapAuthSession: boolean(),
      secretRef,
      initiatorName: text,
    },
    { required: ['targetPortal', 'iqn', 'lun'] },
  ),
  fc: object({ targetWWNs: texts, lun: int32, fsType, readOnly, wwids: texts }),
  rbd: object(
    { monitors: texts, image: text, fsType, pool: text, user: text, keyring: text, secretRef, readOnly },
    { required: ['monitors', 'image'] },
  ),
  cephfs: object(
    { monitors: texts, path: text, user: text, secretFile: text, secretRef, readOnly },
    { required: ['monitors'] },
  ),
  glusterfs: object({ endpoints: text, path: text, readOnly }, { required: ['endpoints', 'path'] }),
  cinder: object({ volumeID: text, fsType, readOnly, secretRef }, { required: ['volumeID'] }),
  flocker: object({ datasetName: text, datasetUUID: text }),
  quobyte: object(
    { registry: text, volume: text, readOnly, user: text, group: text, tenant: text },
    { required: ['registry', 'volume'] },
  ),
  storageos: object({ volumeName: text, volumeNamespace: text, fsType, readOnly, secretRef }),
  scaleIO: object(
    {
      gateway: text,
      system: text,
      secretRef,
      sslEnabled: boolean(),
      protectionDomain: text,
      storagePool: text,
      storageMode: text,
      volumeName: text,
      fsType,
      readOnly,
    },
    { required: ['gateway', 'system', 'secretRef'] },
  ),
  portworxVolume: object({ volumeID: text, fsType, readOnly }, { required: ['volumeID'] }),
  photonPersistentDisk: object({ pdID: text, fsType }, { required: ['pdID'] }),
  vsphereVolume: object(
    { volumePath: text, fsType, storagePolicyName: text, storagePolicyID: text },
    { required: ['volumePath'] },
  ),
  gcePersistentDisk: object({ pdName: text, fsType, partition: int32, readOnly }, { required: ['pdName'] }),
  awsElasticBlockStore: object({ volumeID: text, fsType, partition: int32, readOnly }, { required: ['volumeID'] }),
  azureDisk: object(
    { diskName: text, diskURI: text, cachingMode: text, fsType, readOnly, kind: text },
    { required: ['diskName', 'diskURI'] },
  ),
  azureFile: object({ secretName: text, shareName: text, readOnly }, { required: ['secretName', 'shareName'] }),
  gitRepo: object({ repository: text, revision: text, directory: text }, { required: ['repository'] }),
  flexVolume: object({ driver: text, fsType, secretRef, readOnly, options: map() }, { required: ['driver'] }),
};
