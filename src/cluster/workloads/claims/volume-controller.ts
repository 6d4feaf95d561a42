import { type PersistentVolume, PersistentVolumeKind, volumeProtection } from '../../../api/core/persistent-volume.ts';
import { type PersistentVolumeClaim, PersistentVolumeClaimKind } from '../../../api/core/persistent-volume-claim.ts';
import type { Kind } from '../../../api/kind.ts';
import { timestamp } from '../../../api/meta.ts';
import { isNotFound } from '../../../api/status.ts';
import type { Controller, ReconcileContext } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { kubeController } from '../users.ts';
import { isFor } from './binding.ts';
import { isLocalPath, removeFolder } from './local-path.ts';

/**
 * Says whose each volume is, and does with it what is to be done when its claim is gone:
 *
 *     Available ──claim──▶ Bound ──claim gone──▶ Released ──Delete──▶ data and volume are removed
 *                                                   └──Retain──▶ it stays as it is
 */
export function volumeController(dir: string): Controller<PersistentVolume> {
  return {
    name: 'persistent-volume',
    user: kubeController('persistent-volume-binder'),
    kind: PersistentVolumeKind,
    watches: [
      {
        kind: PersistentVolumeClaimKind as unknown as Kind,
        keys(claim, cache) {
          const volumes = cache.list(PersistentVolumeKind);
          const { namespace, name } = claim.metadata;
          return volumes
            .filter(({ spec: { claimRef } }) => claimRef?.name === name && claimRef.namespace === namespace)
            .map(({ metadata }) => ({ name: metadata.name }));
        },
      },
    ],
    async reconcile(volume, context) {
      const { claimRef } = volume.spec;
      if (!claimRef?.name) {
        if (volume.metadata.deletionTimestamp !== undefined) return unprotect(volume, context);
        return phase(volume, 'Available', context);
      }
      const claim = await claimOf(claimRef, context);
      if (claim && isFor(volume, claim)) {
        // One that a claim has stays until that is gone.
        const isBound = claim.spec.volumeName === volume.metadata.name;
        return phase(volume, isBound ? 'Bound' : 'Available', context);
      }
      // Kept for a claim that has not come yet.
      if (!claimRef.uid && volume.metadata.deletionTimestamp === undefined) return phase(volume, 'Available', context);
      await phase(volume, 'Released', context);
      await reclaim(volume, dir, context);
    },
  };
}

/** As it is on the disk: what is done when it is gone cannot be undone. */
async function claimOf(
  { namespace = '', name = '' }: NonNullable<PersistentVolume['spec']['claimRef']>,
  { client }: ReconcileContext,
): Promise<PersistentVolumeClaim | undefined> {
  return client.get(PersistentVolumeClaimKind, { namespace, name });
}

async function reclaim(volume: PersistentVolume, dir: string, context: ReconcileContext): Promise<void> {
  const { metadata, spec } = volume;
  const isOurs = isLocalPath(volume) && spec.persistentVolumeReclaimPolicy === 'Delete';
  if (isOurs) {
    await removeFolder(dir, volume);
    if (metadata.deletionTimestamp === undefined) {
      const { uid } = metadata;
      const options = uid === undefined ? {} : { preconditions: { uid } };
      await context.client.delete(PersistentVolumeKind, { name: metadata.name }, options).catch(ignoreGone);
      return; // Its deletion calls again.
    }
  }
  if (metadata.deletionTimestamp !== undefined) await unprotect(volume, context);
}

async function phase(volume: PersistentVolume, wanted: string, context: ReconcileContext): Promise<void> {
  if (volume.status?.phase === wanted) return;
  const lastPhaseTransitionTime = timestamp(context.clock.now());
  await updateStatus(context, volume, { ...volume.status, phase: wanted, lastPhaseTransitionTime });
}

async function unprotect(volume: PersistentVolume, { client }: ReconcileContext): Promise<void> {
  const { finalizers = [], name } = volume.metadata;
  if (!finalizers.includes(volumeProtection)) return;
  const current = await client.get(PersistentVolumeKind, { name });
  if (!current) return;
  const others = finalizers.filter((each) => each !== volumeProtection);
  const next = { ...current, metadata: { ...current.metadata, finalizers: others } };
  await client.update(PersistentVolumeKind, next).catch(ignoreGone);
}

const ignoreGone = (error: unknown) => {
  if (!isNotFound(error)) throw error;
};
