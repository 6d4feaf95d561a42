import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, hostname, type as osType, release, totalmem } from 'node:os';
import { type Lease, LeaseKind } from '../../api/coordination/lease.ts';
import { NamespaceKind } from '../../api/core/namespace.ts';
import { type Node, NodeKind } from '../../api/core/node.ts';
import { apiVersionOf } from '../../api/kind.ts';
import { microTime, timestamp } from '../../api/meta.ts';
import { isAlreadyExists, isConflict } from '../../api/status.ts';
import type { Client } from '../../kube/client.ts';
import { type Clock, sleep } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Logger } from '../../observe/log.ts';
import { kubernetesVersion } from '../kubernetes-version.ts';
import type { Driver } from './driver.ts';
import { hostPlatform } from './images/platform.ts';

export interface NodeObjectOptions {
  client: Client;
  clock: Clock;
  log: Logger;
  nodeName: string;
  /** Its `InternalIP`. */
  address: string;
  driver: Driver;
  podsMax: number;
  /** The node's folder, on the disk that its pods use. */
  dataDir: string;
  /** Ends it. */
  signal: AbortSignal;
}

const heartbeatMs = 10_000;
const conflictRetryMs = 5;
/** So often at once: with the next heartbeat again. */
const conflictsMax = 100;
const leaseSeconds = 40;
const leaseNamespace = 'kube-node-lease';
/** How many pods a node runs at once, unless told otherwise. */
export const podsMaxDefault = 500;

/**
 * Registers the node and keeps its Lease fresh: one small write every 10 s, none to the Node itself (Kubernetes, "Node
 * heartbeats"), unless somebody deleted it: then it is registered again. Resolves after the first heartbeat, and never
 * rejects: what fails is tried again with the next.
 */
export async function registerNode(options: NodeObjectOptions): Promise<void> {
  const { client, clock, log, nodeName, signal } = options;
  let isRegistered = false;
  const beat = async () => {
    try {
      if (!isRegistered || !(await client.get(NodeKind, { name: nodeName }))) {
        if (isRegistered) log.warn({ node: nodeName }, 'the Node was deleted: it is registered again');
        await putNode(options);
        isRegistered = true;
      }
      await ensureNamespace(client);
      await renewLease(options);
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        { reason: messageOf(error) },
        'the node could not be registered, or its lease not renewed: trying again',
      );
    }
    if (signal.aborted) return;
    const cancel = clock.after(heartbeatMs, () => {
      signal.removeEventListener('abort', cancel);
      void beat(); // Never rejects.
    });
    signal.addEventListener('abort', cancel, { once: true });
  };
  await beat();
}

/** The node as it is now: what it has, and that it is ready. */
function nodeObject({
  nodeName,
  address,
  driver,
  clock,
  podsMax,
  dataDir,
}: Pick<NodeObjectOptions, 'nodeName' | 'address' | 'driver' | 'clock' | 'podsMax' | 'dataDir'>): Node {
  const [os = '', architecture = ''] = hostPlatform.split('/');
  const now = timestamp(clock.now());
  const capacity = {
    cpu: String(availableParallelism()),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: String(podsMax),
    ...diskCapacity(dataDir),
    'hugepages-1Gi': '0',
    'hugepages-2Mi': '0',
  };
  const fine = (type: string, reason: string, message: string) => ({
    type,
    status: 'False' as const,
    reason,
    message,
    lastTransitionTime: now,
    lastHeartbeatTime: now,
  });
  return {
    apiVersion: apiVersionOf(NodeKind),
    kind: NodeKind.kind,
    metadata: {
      name: nodeName,
      labels: {
        'beta.kubernetes.io/arch': architecture,
        'beta.kubernetes.io/os': os,
        'kubernetes.io/hostname': nodeName,
        'kubernetes.io/os': os,
        'kubernetes.io/arch': architecture,
        'node.kittiwake.dev/driver': driver.name,
      },
    },
    spec: {},
    status: {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: hostname() },
      ],
      conditions: [
        fine('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
        fine('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
        fine('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
        { ...fine('Ready', 'KubeletReady', 'kittiwake is posting ready status'), status: 'True' },
      ],
      nodeInfo: {
        architecture,
        operatingSystem: os,
        kernelVersion: release(),
        osImage: osName(),
        machineID: textOf('/etc/machine-id'),
        systemUUID: textOf('/sys/class/dmi/id/product_uuid') || textOf('/etc/machine-id'),
        bootID: textOf('/proc/sys/kernel/random/boot_id'),
        kubeletVersion: kubernetesVersion.text,
        kubeProxyVersion: '',
        containerRuntimeVersion: `${driver.name}://${process.versions.node}`,
      },
    },
  };
}

/** What the disk of the node's folder has; nothing where the system does not say. */
function diskCapacity(dataDir: string): { 'ephemeral-storage'?: string } {
  try {
    const { blocks, bsize } = statfsSync(dataDir);
    return { 'ephemeral-storage': `${Math.floor((blocks * bsize) / 1024)}Ki` };
  } catch {
    return {}; // It is no folder of a disk.
  }
}

/** The name that the system has for itself. */
function osName(): string {
  return /^PRETTY_NAME="?([^"\n]+)/m.exec(textOf('/etc/os-release'))?.[1] ?? osType();
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return ''; // Not on this system, or not for us.
  }
}

async function putNode(options: NodeObjectOptions): Promise<void> {
  const { client, clock, signal } = options;
  const wanted = nodeObject(options);
  for (let conflicts = 0; ; conflicts++) {
    const found = await client.get(NodeKind, { name: options.nodeName });
    try {
      const { status } = wanted;
      const labels = { ...found?.metadata.labels, ...wanted.metadata.labels };
      const stored = found
        ? await client.update(NodeKind, { ...found, metadata: { ...found.metadata, labels } })
        : await client.create(NodeKind, wanted);
      if (status) await client.update(NodeKind, { ...stored, status }, 'status');
      return;
    } catch (error) {
      if (conflicts === conflictsMax || (!isConflict(error) && !isAlreadyExists(error))) throw error;
      // What it is in conflict with can be read only when it is on the disk.
      await sleep(clock, conflictRetryMs, signal);
    }
  }
}

async function ensureNamespace(client: Client): Promise<void> {
  if (await client.get(NamespaceKind, { name: leaseNamespace })) return;
  try {
    await client.create(NamespaceKind, {
      apiVersion: apiVersionOf(NamespaceKind),
      kind: NamespaceKind.kind,
      metadata: { name: leaseNamespace },
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

async function renewLease({ client, clock, nodeName }: NodeObjectOptions): Promise<void> {
  const key = { namespace: leaseNamespace, name: nodeName };
  const found = await client.get(LeaseKind, key);
  const renewTime = microTime(clock.now());
  const spec = { ...found?.spec, holderIdentity: nodeName, leaseDurationSeconds: leaseSeconds, renewTime };
  const lease: Lease = found
    ? { ...found, spec }
    : { apiVersion: apiVersionOf(LeaseKind), kind: LeaseKind.kind, metadata: key, spec };
  await (found ? client.update(LeaseKind, lease) : client.create(LeaseKind, lease));
}
