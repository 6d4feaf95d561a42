import { randomInt, randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DeploymentKind } from '../../../api/apps/deployment.ts';
import { type ReplicaSet, ReplicaSetKind } from '../../../api/apps/replica-set.ts';
import type { Pod } from '../../../api/core/pod.ts';
import { isTokenVolume, tokenVolumeName } from '../../../api/core/service-account.ts';
import { generatedAlphabet } from '../../../api/names.ts';
import { messageOf } from '../../../lib/errors.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { ExpectedPods } from '../../expected-pods.ts';
import type { Sandbox } from '../driver.ts';
import type { Image } from '../images/image.ts';
import { requestOf } from './make-sandbox.ts';
import type { NodeContext } from './node-context.ts';
import { containerOnNode } from './start-container.ts';
import { isFromApi } from './volumes/payload.ts';
import { contained } from './volumes/refused.ts';

export interface SparesOptions {
  node: NodeContext;
  expected: ExpectedPods;
  /** At most so many at once, those of what was at zero last. */
  sparesMax?: number | undefined;
  /** What was not wanted for so long goes. */
  lifetimeMs?: number;
}

/** Each costs some 13 MB: the runtime's process, and the container's first, which becomes the program. */
const sparesMaxDefault = 8;
const lifetimeMsDefault = 60 * 60_000;
/** So long after a pod's end it is looked whether its ReplicaSet is at zero. */
const settleMs = 200;
/** A pod whose name was taken is created at once, or not at all. */
const arrivalMs = 30_000;

interface Spare {
  pod: Pod;
  ownerUid: string;
  digest: string;
  sandbox: Sandbox | undefined;
  /** Resolves when it is ready, or will not be. Never rejects. */
  making: Promise<void>;
  cancelEnd(): void;
}

/**
 * For ReplicaSets at zero whose last pod ran here: all of the next pod but its program (the sandbox with its network
 * and addresses, and the container, held), under the name and UID that the pod will have (expected-pods.ts).
 *
 *     a pod ends ─▶ at zero? ─▶ made ─▶ expected ─▶ taken by its owner ─▶ handed over to the pod's runner
 *                                 └────────┴──────────────┴──▶ dropped: too old, too many, image or owner gone, the end
 *
 * What an agent that dies leaves of them is a sandbox of a pod that nobody knows: the next one removes it.
 */
export class Spares {
  readonly #node: NodeContext;
  readonly #expected: ExpectedPods;
  readonly #sparesMax: number;
  readonly #lifetimeMs: number;
  /** By the UID of the pod to come. */
  readonly #spares = new Map<string, Spare>();
  readonly #settling = new Set<() => void>();
  readonly #drops = new Map<string, Promise<void>>();
  readonly #life = new AbortController();

  constructor({ node, expected, sparesMax = sparesMaxDefault, lifetimeMs = lifetimeMsDefault }: SparesOptions) {
    this.#node = node;
    this.#expected = expected;
    this.#sparesMax = sparesMax;
    this.#lifetimeMs = lifetimeMs;
  }

  /** The pods to come; what they have on the disk is somebody's. */
  get pods(): Pod[] {
    return [...this.#spares.values()].map(({ pod }) => pod);
  }

  /** A pod that ran well has ended here. */
  ended(pod: Pod, sandbox: Sandbox | undefined): void {
    if (this.#life.signal.aborted || this.#sparesMax === 0 || !sandbox?.hold || !canBeReady(pod)) return;
    const cancel = this.#node.clock.after(settleMs, () => {
      this.#settling.delete(cancel);
      this.#consider(pod).catch((error) => {
        const { namespace, name } = pod.metadata;
        this.#node.log.warn({ namespace, pod: name, reason: messageOf(error) }, 'nothing is ready for the next pod');
      });
    });
    this.#settling.add(cancel);
  }

  /** What was made for this pod is its own from now on; what would not be right for it is gone. */
  async handOver(pod: Pod): Promise<void> {
    const { uid = '' } = pod.metadata;
    const spare = this.#spares.get(uid);
    if (!spare) return this.#drops.get(uid);
    spare.cancelEnd();
    this.#spares.delete(uid);
    this.#expected.forget(uid);
    if (!sameJson(placed(spare.pod), placed(pod))) await spare.sandbox?.remove();
  }

  /** Drops those whose image, or whose owner at zero, is not among these. */
  async keep(digests: ReadonlySet<string>, replicaSets: readonly ReplicaSet[]): Promise<void> {
    const owners = new Set(replicaSets.map(({ metadata }) => metadata.uid));
    const lost = [...this.#spares.values()].filter((each) => !digests.has(each.digest) || !owners.has(each.ownerUid));
    await Promise.all(lost.map((spare) => this.#drop(spare)));
  }

  /** Drops all. Never rejects. */
  async close(): Promise<void> {
    this.#life.abort();
    for (const cancel of this.#settling) cancel();
    for (const spare of this.#spares.values()) void this.#drop(spare); // Never rejects.
    await Promise.all(this.#drops.values());
  }

  async #consider(ended: Pod): Promise<void> {
    const { client, clock, images, log } = this.#node;
    const owner = ended.metadata.ownerReferences?.find(({ controller }) => controller);
    const { namespace } = ended.metadata;
    if (owner?.kind !== ReplicaSetKind.kind || namespace === undefined) return;
    const replicaSet = await client.get(ReplicaSetKind, { namespace, name: owner.name });
    const isAtZero = replicaSet?.metadata.uid === owner.uid && replicaSet.spec.replicas === 0;
    if (!isAtZero || replicaSet.metadata.deletionTimestamp !== undefined) return;
    if ((await this.#isOfBefore(replicaSet)) || this.#life.signal.aborted) return;
    if ([...this.#spares.values()].some(({ ownerUid }) => ownerUid === owner.uid)) return;
    const image = images.find(ended.spec.containers[0]?.image ?? '');
    if (!image || image.base.length > 0) return;
    const pod = nextPod(ended, this.#node.nodeName);
    const { name, uid = '' } = pod.metadata;
    const spare: Spare = {
      ...{ pod, ownerUid: owner.uid, digest: image.digest, sandbox: undefined, making: Promise.resolve() },
      cancelEnd: clock.after(this.#lifetimeMs, () => void this.#drop(spare)), // Never rejects.
    };
    for (const oldest of [...this.#spares.values()].slice(0, Math.max(0, this.#spares.size + 1 - this.#sparesMax))) {
      void this.#drop(oldest); // Never rejects.
    }
    this.#spares.set(uid, spare);
    spare.making = this.#make(spare, image).then(
      (isMade) => {
        if (this.#spares.get(uid) !== spare) return; // It is being dropped.
        if (!isMade) return void this.#drop(spare); // Never rejects.
        const onTaken = () => {
          spare.cancelEnd();
          spare.cancelEnd = clock.after(arrivalMs, () => void this.#drop(spare)); // Never rejects.
        };
        this.#expected.expect({ ownerUid: owner.uid, template: replicaSet.spec.template, name, uid, onTaken });
      },
      (error) => {
        if (!this.#life.signal.aborted) log.warn({ pod: name, reason: messageOf(error) }, 'a spare could not be made');
        void this.#drop(spare); // Never rejects.
      },
    );
  }

  /** Whether another ReplicaSet of its Deployment runs in its place. */
  async #isOfBefore({ metadata }: ReplicaSet): Promise<boolean> {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller);
    if (owner?.kind !== DeploymentKind.kind) return false;
    const { namespace = '' } = metadata;
    return (await this.#node.client.get(DeploymentKind, { namespace, name: owner.name }))?.spec.replicas !== 0;
  }

  async #make(spare: Spare, image: Image): Promise<boolean> {
    const { driver, volumesDir } = this.#node;
    const { pod } = spare;
    const [container] = pod.spec.containers;
    if (!container) return false;
    const { signal } = this.#life;
    const sandbox = await driver.sandbox(pod, signal, requestOf(this.#node, pod));
    spare.sandbox = sandbox;
    const dir = join(volumesDir, pod.metadata.uid ?? '');
    const sources = new Map<string, string>();
    for (const { name } of pod.spec.volumes ?? []) {
      // Empty: what they show comes when there is a pod that may be told.
      sources.set(name, join(dir, contained(name, name)));
      await mkdir(sources.get(name) ?? '', { recursive: true });
    }
    const volumes = { dir, sources, work: <T>(what: () => Promise<T>) => what() };
    const start = await containerOnNode({ node: this.#node, pod, container, restart: 0, sandbox, image, volumes });
    return (await sandbox.hold?.(start, signal)) === true;
  }

  /** Never rejects. */
  async #drop(spare: Spare): Promise<void> {
    const { uid = '', name } = spare.pod.metadata;
    spare.cancelEnd();
    this.#expected.forget(uid);
    if (!this.#spares.delete(uid)) return this.#drops.get(uid);
    const { files, log, volumesDir } = this.#node;
    const remove = async () => {
      await spare.making;
      try {
        await spare.sandbox?.remove();
        await files.remove(join(volumesDir, uid));
      } catch (error) {
        log.warn({ pod: name, reason: messageOf(error) }, 'something of a spare is left until the next start');
      }
    };
    const dropping = remove().finally(() => this.#drops.delete(uid));
    this.#drops.set(uid, dropping);
    return dropping;
  }
}

/** Whether all of a pod like this one can be had before it is there: one container, and volumes that fill up later. */
function canBeReady({ spec }: Pod): boolean {
  const { containers, initContainers = [], volumes = [], hostNetwork, hostPID, hostIPC, shareProcessNamespace } = spec;
  const [container, ...others] = containers;
  if (!container || others.length + initContainers.length > 0) return false;
  if (hostNetwork || hostPID || hostIPC || shareProcessNamespace) return false;
  const hasSubPath = container.volumeMounts?.some(({ subPath, subPathExpr }) => (subPath ?? subPathExpr) !== undefined);
  const hasHostPort = container.ports?.some(({ hostPort }) => (hostPort ?? 0) > 0);
  return !hasSubPath && !hasHostPort && volumes.every(isFromApi);
}

/** The pod that comes after this one. */
function nextPod({ metadata, spec, ...kind }: Pod, nodeName: string): Pod {
  const uid = randomUUID();
  const { generateName = '', namespace, labels, annotations, ownerReferences } = metadata;
  const suffix = Array.from({ length: 5 }, () => generatedAlphabet[randomInt(generatedAlphabet.length)]).join('');
  const token = (spec.volumes ?? []).find(({ name }) => isTokenVolume(name))?.name;
  const text = JSON.stringify({ ...spec, nodeName });
  const renamed =
    token === undefined ? text : text.replaceAll(JSON.stringify(token), JSON.stringify(tokenVolumeName(uid)));
  return {
    apiVersion: kind.apiVersion,
    kind: kind.kind,
    metadata: {
      ...{ name: generateName + suffix, generateName, namespace, uid },
      ...{ labels, annotations, ownerReferences },
    },
    spec: JSON.parse(renamed),
  } as Pod;
}

/** Of a pod what its sandbox is made of. */
const placed = ({ spec: { nodeName: _, ...spec }, metadata: { name, namespace } }: Pod) => ({ spec, name, namespace });
