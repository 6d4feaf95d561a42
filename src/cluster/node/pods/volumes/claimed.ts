import { PersistentVolumeKind } from '../../../../api/core/persistent-volume.ts';
import { PersistentVolumeClaimKind } from '../../../../api/core/persistent-volume-claim.ts';
import { StartError } from '../../driver.ts';
import type { ReadObject } from '../config-sources.ts';
import { hostPathSource } from './host-path.ts';
import { refused } from './refused.ts';

/** Where the data of a claim are. Throws StartError: there is none, it has no volume yet, or one of another kind. */
export async function claimedSource(
  { namespace, claimName, volume }: { namespace: string; claimName: string; volume: string },
  read: ReadObject,
): Promise<string> {
  const claim = await read(PersistentVolumeClaimKind, { namespace, name: claimName });
  if (!claim) throw unbound(`persistentvolumeclaim "${claimName}" not found`);
  if (claim.metadata.deletionTimestamp !== undefined) {
    throw unbound(`persistentvolumeclaim "${claimName}" is being deleted`);
  }
  const { volumeName } = claim.spec;
  const lost = () =>
    unbound(`persistentvolumeclaim "${claimName}" bound to non-existent persistentvolume "${volumeName}"`);
  if (claim.status?.phase === 'Lost') throw lost();
  if (claim.status?.phase !== 'Bound' || !volumeName) throw new NotBoundYet();
  const found = await read(PersistentVolumeKind, { name: volumeName });
  if (!found || found.spec.claimRef?.uid !== claim.metadata.uid) throw lost();
  const { hostPath, local, volumeMode } = found.spec;
  if (volumeMode === 'Block') throw refused(volume, 'Block volumes are not supported on this node');
  if (hostPath) return hostPathSource(hostPath, volume);
  if (local) return hostPathSource({ path: local.path, type: 'Directory' }, volume);
  throw refused(volume, `the volume ${volumeName} is neither a hostPath nor local: no other can be had on this node`);
}

/** It may be any moment: whoever makes volumes waits for the pod. */
export class NotBoundYet extends StartError {
  constructor() {
    super('CreateContainerConfigError', 'pod has unbound immediate PersistentVolumeClaims');
  }
}

const unbound = (message: string) => new StartError('CreateContainerConfigError', message);
