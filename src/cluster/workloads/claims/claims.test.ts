import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openWorld, type World } from '../../../../test/world.ts';
import { EventKind } from '../../../api/core/event.ts';
import { type PersistentVolume, PersistentVolumeKind } from '../../../api/core/persistent-volume.ts';
import { type PersistentVolumeClaim, PersistentVolumeClaimKind } from '../../../api/core/persistent-volume-claim.ts';
import { type Pod, PodKind } from '../../../api/core/pod.ts';
import { StorageClassKind } from '../../../api/storage/storage-class.ts';
import { ConfigSources, type ReadObject } from '../../node/pods/config-sources.ts';
import { writeVolume } from '../../node/pods/volumes/pod-volumes.ts';
import { workloadControllers } from '../index.ts';

describe('claims of pods, and the volumes that they get', () => {
  let world: World;
  let dir: string;
  const namespace = 'default';

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-claims-'));
    world = await openWorld({ controllers: workloadControllers({ claimsDir: dir }) });
    await world.until(StorageClassKind, { name: 'local-path' }, (found) => found !== undefined);
  });
  after(async () => {
    await world.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const claim = (name: string, spec: Partial<PersistentVolumeClaim['spec']> = {}) =>
    world.client.create(PersistentVolumeClaimKind, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
    });
  const pod = (name: string, claimName: string): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      containers: [{ name: 'c', image: 'i' }],
      volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }],
    },
  });
  const volume = (name: string, spec: Partial<PersistentVolume['spec']> = {}) =>
    world.client.create(PersistentVolumeKind, {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name },
      spec: {
        capacity: { storage: '5Gi' },
        accessModes: ['ReadWriteOnce', 'ReadOnlyMany'],
        hostPath: { path: join(dir, name) },
        ...spec,
      },
    });
  const untilClaim = (name: string, phase: string) =>
    world.until(PersistentVolumeClaimKind, { namespace, name }, (found) => found?.status?.phase === phase);
  const untilVolume = (name: string, phase: string | undefined) =>
    world.until(PersistentVolumeKind, { name }, (found) => found?.status?.phase === phase);
  const remove = (name: string) => world.client.delete(PersistentVolumeClaimKind, { namespace, name });
  const removePod = (name: string) => world.client.delete(PodKind, { namespace, name }, { gracePeriodSeconds: 0 });
  const source = (each: Pod) => {
    const read: ReadObject = (kind, key) => world.client.get(kind, key);
    const place = { host: { address: '', cpus: 1, memoryBytes: 1 }, pod: { ips: [''] as [string], ports: {} } };
    const [only] = each.spec.volumes ?? [];
    assert.ok(only);
    return writeVolume(only, dir, { pod: each, place, read, sources: new ConfigSources(read, namespace), nowMs: 0 });
  };
  const eventsOf = async (name: string) =>
    (await world.client.list(EventKind, { namespace })).items
      .filter(({ involvedObject }) => involvedObject.name === name)
      .map(({ reason, message }) => `${reason}: ${message}`);

  test('a claim that names no class waits for its first pod, gets a folder, and keeps it over pods', async () => {
    const made = await claim('data');
    assert.equal(made.spec.storageClassName, 'local-path');
    assert.deepEqual(made.metadata.finalizers, ['kubernetes.io/pvc-protection']);
    const first = pod('first', 'data');
    await assert.rejects(source(first), { message: 'pod has unbound immediate PersistentVolumeClaims' });
    await world.client.create(PodKind, first);
    const bound = await untilClaim('data', 'Bound');
    const name = `pvc-${made.metadata.uid}`;
    assert.deepEqual(
      [bound?.spec.volumeName, bound?.status?.capacity, bound?.status?.accessModes],
      [name, { storage: '1Gi' }, ['ReadWriteOnce']],
    );
    const kept = await untilVolume(name, 'Bound');
    assert.equal(kept?.spec.persistentVolumeReclaimPolicy, 'Delete');
    assert.deepEqual(kept?.metadata.finalizers, ['kubernetes.io/pv-protection']);
    const folder = await source(first);
    assert.equal(folder, join(dir, name));
    assert.equal(statSync(folder).mode & 0o777, 0o777);
    writeFileSync(join(folder, 'table'), 'rows');
    await removePod('first');
    assert.equal(await source(pod('second', 'data')), folder);
    const events = await eventsOf('data');
    assert.ok(events.includes('WaitForFirstConsumer: waiting for first consumer to be created before binding'));
    assert.ok(events.includes(`ProvisioningSucceeded: Successfully provisioned volume ${name}`));
  });

  test('a claim stays until no pod uses it; then its volume goes, and the data', async () => {
    const { metadata } = await claim('used');
    await world.client.create(PodKind, pod('user', 'used'));
    await untilClaim('used', 'Bound');
    const name = `pvc-${metadata.uid}`;
    writeFileSync(join(dir, name, 'table'), 'rows');
    await remove('used');
    const doomed = await world.until(
      PersistentVolumeClaimKind,
      { namespace, name: 'used' },
      (found) => found?.metadata.deletionTimestamp !== undefined,
    );
    assert.ok(doomed);
    assert.ok(existsSync(join(dir, name, 'table')));
    await assert.rejects(source(pod('late', 'used')), { message: 'persistentvolumeclaim "used" is being deleted' });
    await removePod('user');
    await world.until(PersistentVolumeClaimKind, { namespace, name: 'used' }, (found) => found === undefined);
    await world.until(PersistentVolumeKind, { name }, (found) => found === undefined);
    assert.equal(existsSync(join(dir, name)), false);
  });

  test('a volume that is to be retained stays, with its data, when its claim is gone', async () => {
    await world.client.create(StorageClassKind, {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'StorageClass',
      metadata: { name: 'keep' },
      provisioner: 'kittiwake.dev/local-path',
      reclaimPolicy: 'Retain',
      volumeBindingMode: 'Immediate',
    });
    const { metadata } = await claim('kept', { storageClassName: 'keep' });
    await untilClaim('kept', 'Bound');
    const name = `pvc-${metadata.uid}`;
    writeFileSync(join(dir, name, 'table'), 'rows');
    await remove('kept');
    await untilVolume(name, 'Released');
    assert.ok(existsSync(join(dir, name, 'table')));
    await world.client.delete(PersistentVolumeKind, { name });
    await world.until(PersistentVolumeKind, { name }, (found) => found === undefined);
    assert.ok(existsSync(join(dir, name, 'table')), "what is retained is its user's");
  });

  test('a claim gets the smallest free volume that suits it, and nobody else gets that', async () => {
    await volume('large', { capacity: { storage: '50Gi' }, storageClassName: 'manual' });
    await volume('small', { capacity: { storage: '2Gi' }, storageClassName: 'manual' });
    await volume('tiny', { capacity: { storage: '1Mi' }, storageClassName: 'manual' });
    await untilVolume('small', 'Available');
    await claim('one', { storageClassName: 'manual' });
    assert.equal((await untilClaim('one', 'Bound'))?.spec.volumeName, 'small');
    await claim('two', { storageClassName: 'manual' });
    assert.equal((await untilClaim('two', 'Bound'))?.spec.volumeName, 'large');
    await claim('three', { storageClassName: 'manual' });
    await untilClaim('three', 'Pending');
    await untilVolume('small', 'Bound');
    // It is not ours to delete anything of.
    await remove('one');
    await untilVolume('small', 'Released');
  });

  test('a claim whose volume is taken away is lost, and its pods are told', async () => {
    await volume('fragile', { storageClassName: 'fragile' });
    await claim('loser', { storageClassName: 'fragile' });
    await untilClaim('loser', 'Bound');
    await world.client.delete(PersistentVolumeKind, { name: 'fragile' });
    const doomed = await world.until(
      PersistentVolumeKind,
      { name: 'fragile' },
      (found) => found?.metadata.deletionTimestamp !== undefined,
    );
    assert.ok(doomed, 'it stays as long as its claim');
    await world.client.update(PersistentVolumeKind, { ...doomed, metadata: { ...doomed.metadata, finalizers: [] } });
    await untilClaim('loser', 'Lost');
    await assert.rejects(source(pod('p', 'loser')), /bound to non-existent persistentvolume "fragile"/);
    await assert.rejects(source(pod('p', 'none')), { message: 'persistentvolumeclaim "none" not found' });
  });

  test('a volume that says it was made here, with another path, has nothing removed', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'kittiwake-outside-'));
    writeFileSync(join(outside, 'precious'), '');
    await world.client.create(PersistentVolumeKind, {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'liar', annotations: { 'pv.kubernetes.io/provisioned-by': 'kittiwake.dev/local-path' } },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        persistentVolumeReclaimPolicy: 'Delete',
        hostPath: { path: outside },
        claimRef: { namespace, name: 'never', uid: '00000000-0000-0000-0000-000000000000' },
      },
    });
    await world.until(PersistentVolumeKind, { name: 'liar' }, (found) => found === undefined);
    assert.deepEqual(readdirSync(outside), ['precious']);
    rmSync(outside, { recursive: true });
  });

  test('a claim of a class that there is not says so', async () => {
    await claim('odd', { storageClassName: 'fast' });
    for (let waitedMs = 0; (await eventsOf('odd')).length === 0; waitedMs += 20) {
      assert.ok(waitedMs < 15_000);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(await eventsOf('odd'), ['ProvisioningFailed: storageclass.storage.k8s.io "fast" not found']);
  });
});
