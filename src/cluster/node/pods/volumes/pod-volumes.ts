import { existsSync } from 'node:fs';
import { chmod, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Volume } from '../../../../api/core/pod-spec.ts';
import type { Client } from '../../../../kube/client.ts';
import { type Clock, sleep } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { sameJson } from '../../../../lib/same-json.ts';
import { StartError } from '../../driver.ts';
import { ConfigSources, type ReadObject } from '../config-sources.ts';
import type { Place } from '../environment.ts';
import { PodTokens } from '../service-account-tokens.ts';
import { writeAtomically } from './atomic-writer.ts';
import { claimedSource, NotBoundYet } from './claimed.ts';
import { hostPathSource } from './host-path.ts';
import { type MemoryVolumes, makeMemoryVolume } from './memory.ts';
import { giveToGroup } from './ownership.ts';
import { isFromApi, payloadOf } from './payload.ts';
import type { VolumeRefresher } from './refresher.ts';
import { contained, MountError, refused } from './refused.ts';

export interface PodVolumesOptions {
  uid: string;
  /** The pod's own folder. */
  dir: string;
  client: Client;
  clock: Clock;
  refresher: VolumeRefresher;
}

/** How long a start waits for claims; it is tried again, as any. */
const bindPatienceMs = 5_000;
const bindPollMs = 50;

/** A token that could not be renewed in time is asked for again no sooner than this. */
const renewalMsMin = 10_000;

/** The volumes of one pod: made once for all its containers, then kept as the API says until they are closed. */
export class PodVolumes {
  readonly dir: string;
  readonly #options: PodVolumesOptions;
  readonly #tokens: PodTokens;
  #made: Promise<void> | undefined;
  #pod: Pod | undefined;
  #isClosed = false;
  #working: Promise<void> = Promise.resolve();
  /** Where each is on this machine. */
  readonly #sources = new Map<string, string>();
  /** Those of which nothing will change: what they show is immutable. */
  readonly #fixed = new Set<string>();

  constructor(options: PodVolumesOptions) {
    this.dir = options.dir;
    this.#options = options;
    this.#tokens = new PodTokens(options.client, options.clock);
  }

  /** Makes them if that has not been done. Throws StartError naming what is missing: it may come. */
  async make(pod: Pod, place: Place, sandbox: MemoryVolumes): Promise<void> {
    this.#pod = pod;
    this.#made ??= this.#make(place, sandbox);
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
  }

  /** The pod has changed: its labels and annotations may be in its volumes. */
  update(pod: Pod): void {
    const before = this.#pod?.metadata;
    if (!before) return;
    this.#pod = pod;
    const { labels, annotations } = pod.metadata;
    if (sameJson([labels, annotations], [before.labels, before.annotations])) return;
    this.#options.refresher.call(this.#options.uid);
  }

  /** Where each is on this machine, by name; there once they are made. */
  get sources(): ReadonlyMap<string, string> {
    return this.#sources;
  }

  /** They are left as they are from now on: resolves when nothing is being written any more. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.refresher.forget(this.#options.uid);
    await this.#working;
  }

  async #make(place: Place, sandbox: MemoryVolumes): Promise<void> {
    const { client, refresher, uid } = this.#options;
    const pod = this.#pod;
    const { volumes: all = [] } = pod?.spec ?? {};
    for (const volume of all.filter(({ emptyDir }) => emptyDir?.medium === 'Memory')) {
      const source = pod && (await this.work(() => makeMemoryVolume(volume, pod, sandbox)));
      if (source !== undefined) this.#sources.set(volume.name, source);
    }
    const volumes = all.filter(({ emptyDir, name }) => emptyDir?.medium !== 'Memory' || !this.#sources.has(name));
    await this.#write(volumes, place, (kind, key) => client.get(kind, key));
    const changing = volumes.filter((volume) => isFromApi(volume) && !this.#fixed.has(volume.name));
    if (changing.length === 0 || this.#isClosed) return;
    refresher.follow(uid, async (read) => {
      await this.#write(changing, place, read);
      const { renewAtMs } = this.#tokens;
      return renewAtMs === undefined ? undefined : Math.max(renewalMsMin, renewAtMs - this.#options.clock.now());
    });
  }

  /**
   * Work in the pod's folder: one after the other, as two at once would take each other's folders away; and none once
   * they are closed, so that nothing is made anew of what is removed then.
   */
  work<T>(what: () => Promise<T>): Promise<T> {
    const next = () => {
      if (this.#isClosed) throw new StartError('CreateContainerError', 'the pod is being removed');
      return what();
    };
    const done = this.#working.then(next);
    this.#working = done.then(
      () => {},
      () => {}, // Whoever waits for it is told.
    );
    return done;
  }

  #write(volumes: readonly Volume[], place: Place, read: ReadObject): Promise<void> {
    return this.work(() => this.#writeNow(volumes, place, read));
  }

  /** A claim may get its volume only now that there is a pod. */
  async #whenBound(make: () => Promise<string>): Promise<string> {
    const { clock } = this.#options;
    for (let waitedMs = 0; ; waitedMs += bindPollMs) {
      try {
        return await make();
      } catch (error) {
        if (!(error instanceof NotBoundYet) || waitedMs >= bindPatienceMs || this.#isClosed) throw error;
        await sleep(clock, bindPollMs);
      }
    }
  }

  async #writeNow(volumes: readonly Volume[], place: Place, read: ReadObject): Promise<void> {
    const pod = this.#pod;
    if (!pod) return;
    for (const volume of volumes) {
      if (this.#isClosed) return;
      const sources = new ConfigSources(read, pod.metadata.namespace ?? 'default');
      const nowMs = this.#options.clock.now();
      const options = { pod, place, sources, read, tokens: this.#tokens, nowMs };
      const making = this.#whenBound(() => writeVolume(volume, this.dir, options));
      this.#sources.set(volume.name, await making.catch(asMountError(volume)));
      if (sources.isFixed && !showsPod(volume)) this.#fixed.add(volume.name);
    }
  }
}

/** Whatever keeps a volume from being made is told as such. */
const asMountError =
  ({ name }: Volume) =>
  (error: unknown) => {
    throw error instanceof MountError ? error : refused(name, messageOf(error), { cause: error });
  };

export interface WriteVolumeOptions {
  pod: Pod;
  place: Place;
  sources: ConfigSources;
  read: ReadObject;
  tokens?: PodTokens;
  nowMs: number;
}

/** Makes a volume, mostly the folder of its name under `dir`, or brings it up to date. Throws StartError. */
export async function writeVolume(volume: Volume, dir: string, options: WriteVolumeOptions): Promise<string> {
  const { name, hostPath, persistentVolumeClaim } = volume;
  if (hostPath) return hostPathSource(hostPath, name);
  if (persistentVolumeClaim) {
    const { namespace = 'default' } = options.pod.metadata;
    return claimedSource({ namespace, claimName: persistentVolumeClaim.claimName, volume: name }, options.read);
  }
  const folder = join(dir, contained(volume.name, volume.name));
  if (isFromApi(volume)) {
    const files = await payloadOf(volume, options);
    const { fsGroup } = options.pod.spec.securityContext ?? {};
    await writeAtomically(folder, files, { nowMs: options.nowMs, fsGroup });
  } else if (volume.emptyDir) {
    await makeEmptyDir(folder, options.pod);
  } else {
    const kind = Object.keys(volume).find((key) => key !== 'name');
    const others = 'use configMap, secret, projected, downwardAPI, emptyDir, hostPath or persistentVolumeClaim';
    throw refused(volume.name, `${kind} volumes are not supported on this node: ${others}`);
  }
  return folder;
}

/** Once: it keeps what containers put there, over their restarts, and from then on it is theirs. */
async function makeEmptyDir(folder: string, pod: Pod): Promise<void> {
  if (existsSync(folder)) return;
  const fresh = `${folder}..new`; // No volume is called that. One that was cut short here is finished.
  await mkdir(fresh, { recursive: true });
  await chmod(fresh, 0o777); // Whoever they run as, and whatever the umask.
  await giveToGroup(fresh, pod);
  await rename(fresh, folder);
}

/** Whether it shows something of the pod itself, which may change. */
const showsPod = ({ downwardAPI, projected }: Volume) =>
  downwardAPI !== undefined || projected?.sources?.some((source) => !source.configMap && !source.secret) === true;
