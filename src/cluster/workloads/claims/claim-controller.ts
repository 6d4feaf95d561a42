import { type PersistentVolume, PersistentVolumeKind } from '../../../api/core/persistent-volume.ts';
import {
  claimProtection,
  type PersistentVolumeClaim,
  PersistentVolumeClaimKind,
} from '../../../api/core/persistent-volume-claim.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import type { Kind } from '../../../api/kind.ts';
import { inNamespaceOf, keyOf } from '../../../api/meta.ts';
import { isAlreadyExists } from '../../../api/status.ts';
import { type StorageClass, StorageClassKind } from '../../../api/storage/storage-class.ts';
import { recordEvent } from '../../../kube/events.ts';
import type { Controller, ReconcileContext } from '../../../kube/reconciler.ts';
import { updateStatus } from '../../../kube/update-status.ts';
import { kubeController } from '../users.ts';
import { claimsOf, isFor, isInUse, volumeFor } from './binding.ts';
import { localPathProvisioner, makeFolder, volumeOf } from './local-path.ts';

const bindCompleted = 'pv.kubernetes.io/bind-completed';
const boundByController = 'pv.kubernetes.io/bound-by-controller';

/**
 * Finds each claim its volume, or has it made in `dir`, and lets a claim go that no pod uses:
 *
 *     Pending ──a volume that suits, or one that is made when the first pod is here──▶ Bound ──volume gone──▶ Lost
 */
export function claimController(dir: string): Controller<PersistentVolumeClaim> {
  return {
    name: 'persistent-volume-claim',
    user: kubeController('persistent-volume-binder'),
    kind: PersistentVolumeClaimKind,
    watches: [
      { kind: PodKind as unknown as Kind, keys: (pod) => claimsOf(pod as Pod) },
      {
        kind: PersistentVolumeKind as unknown as Kind,
        keys(volume, cache) {
          const isWaiting = ({ status, spec }: PersistentVolumeClaim) =>
            status?.phase !== 'Bound' || spec.volumeName === volume.metadata.name;
          return cache.list(PersistentVolumeClaimKind).filter(isWaiting).map(keyOf);
        },
      },
      {
        kind: StorageClassKind as unknown as Kind,
        keys: (_, cache) =>
          cache
            .list(PersistentVolumeClaimKind)
            .filter(({ status }) => status?.phase !== 'Bound')
            .map(keyOf),
      },
    ],
    async reconcile(claim, context) {
      const pods = context.cache.list(PodKind, inNamespaceOf(claim));
      if (claim.metadata.deletionTimestamp !== undefined) {
        if (!isInUse(claim, pods)) await unprotect(claim, context);
        return;
      }
      const volumes = context.cache.list(PersistentVolumeKind);
      if (claim.metadata.annotations?.[bindCompleted] !== undefined) return keepBound(claim, volumes, context);
      const classOf = context.cache.get(StorageClassKind, { name: claim.spec.storageClassName ?? '' });
      const waits = classOf?.volumeBindingMode === 'WaitForFirstConsumer' && !isInUse(claim, pods);
      const found = waits ? volumes.find((volume) => isFor(volume, claim)) : volumeFor(claim, volumes);
      if (found) return bind(claim, found, context);
      if (waits) {
        return tell(claim, 'Normal', 'WaitForFirstConsumer', waitsMessage, context);
      }
      if (classOf?.provisioner === localPathProvisioner) return provision(claim, classOf, dir, context);
      const [type, reason, message] = reasonOf(claim, classOf);
      await tell(claim, type, reason, message, context);
    },
  };
}

const waitsMessage = 'waiting for first consumer to be created before binding';

function reasonOf({ spec }: PersistentVolumeClaim, found: StorageClass | undefined) {
  if (!spec.storageClassName) {
    const message = 'no persistent volumes available for this claim and no storage class is set';
    return ['Normal', 'FailedBinding', message] as const;
  }
  if (!found) {
    const message = `storageclass.storage.k8s.io "${spec.storageClassName}" not found`;
    return ['Warning', 'ProvisioningFailed', message] as const;
  }
  const message = [
    `Waiting for a volume to be created either by the external provisioner '${found.provisioner}' or manually by the`,
    'system administrator. If volume creation is delayed, please verify that the provisioner is running and',
    'correctly registered.',
  ].join(' ');
  return ['Normal', 'ExternalProvisioning', message] as const;
}

async function provision(
  claim: PersistentVolumeClaim,
  storageClass: StorageClass,
  dir: string,
  context: ReconcileContext,
): Promise<void> {
  if (claim.spec.volumeMode === 'Block') {
    const { name } = storageClass.metadata;
    const message = `failed to provision volume with StorageClass "${name}": it has no Block volumes`;
    return tell(claim, 'Warning', 'ProvisioningFailed', message, context);
  }
  const volume = volumeOf(claim, storageClass, dir);
  await makeFolder(dir, volume);
  let made = volume;
  try {
    made = await context.client.create(PersistentVolumeKind, volume);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const { name } = volume.metadata;
    const there = await context.client.get(PersistentVolumeKind, { name });
    if (!there || !isFor(there, claim)) throw error;
    made = there;
  }
  const message = `Successfully provisioned volume ${volume.metadata.name}`;
  await tell(claim, 'Normal', 'ProvisioningSucceeded', message, context);
  await bind(claim, made, context);
}

/** Both say of each other that they are one's: the volume first, so that no other claim gets it. */
async function bind(
  claim: PersistentVolumeClaim,
  found: PersistentVolume,
  { client, kind }: ReconcileContext,
): Promise<void> {
  const { namespace = 'default', name, uid = '' } = claim.metadata;
  let volume = found;
  if (volume.spec.claimRef?.uid !== uid) {
    const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid };
    volume = await client.update(PersistentVolumeKind, { ...volume, spec: { ...volume.spec, claimRef } });
  }
  const annotations: Record<string, string> = { ...claim.metadata.annotations, [bindCompleted]: 'yes' };
  if (!claim.spec.volumeName) annotations[boundByController] = 'yes';
  const bound = await client.update(PersistentVolumeClaimKind, {
    ...claim,
    metadata: { ...claim.metadata, annotations },
    spec: { ...claim.spec, volumeName: volume.metadata.name },
  });
  await updateStatus({ client, kind }, bound, boundStatus(bound, volume));
}

async function keepBound(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  context: ReconcileContext,
): Promise<void> {
  const name = claim.spec.volumeName ?? '';
  const volume =
    volumes.find(({ metadata }) => metadata.name === name) ??
    (await context.client.get(PersistentVolumeKind, { name }));
  if (volume && isFor(volume, claim)) {
    await updateStatus(context, claim, boundStatus(claim, volume));
    return;
  }
  if (claim.status?.phase === 'Lost') return;
  await tell(
    claim,
    'Warning',
    'ClaimLost',
    'Bound claim has lost its PersistentVolume. Data on the volume is lost!',
    context,
  );
  await updateStatus(context, claim, { ...claim.status, phase: 'Lost' });
}

function boundStatus(
  { status }: PersistentVolumeClaim,
  { spec: { accessModes, capacity } }: PersistentVolume,
): NonNullable<PersistentVolumeClaim['status']> {
  return { ...status, phase: 'Bound', ...(accessModes && { accessModes }), ...(capacity && { capacity }) };
}

async function unprotect(claim: PersistentVolumeClaim, { client }: ReconcileContext): Promise<void> {
  const { finalizers = [] } = claim.metadata;
  if (!finalizers.includes(claimProtection)) return;
  const others = finalizers.filter((name) => name !== claimProtection);
  await client.update(PersistentVolumeClaimKind, { ...claim, metadata: { ...claim.metadata, finalizers: others } });
}

function tell(
  claim: PersistentVolumeClaim,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  { client, clock, kind }: ReconcileContext,
): Promise<void> {
  const source = { component: 'persistentvolume-controller' };
  return recordEvent(client, kind, claim, { type, reason, message, source }, clock.now());
}
