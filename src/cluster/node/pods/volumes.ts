import { randomUUID } from 'node:crypto';
import { lstat, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Pod } from '../../../api/core/pod.ts';
import type { Container, Volume } from '../../../api/core/pod-spec.ts';
import type { DownwardFile, KeyToPath } from '../../../api/core/volume.ts';
import { isConfigKey } from '../../../api/names.ts';
import type { Client } from '../../../kube/client.ts';
import { type Mount, StartError } from '../driver.ts';
import { ConfigSources, fieldOf, type Place, resourceOf } from './environment.ts';
import { expand } from './expand.ts';

/** The content of one file of a volume; the path is relative and stays within the volume. */
interface VolumeFile {
  path: string;
  content: Buffer;
  mode: number;
}

/** The volumes of one pod, made once for all its containers. */
export class PodVolumes {
  readonly dir: string;
  #made: Promise<void> | undefined;

  constructor(dir: string) {
    this.dir = dir;
  }

  async make(pod: Pod, client: Client, place: Place): Promise<void> {
    this.#made ??= makeVolumes(pod, this.dir, client, place);
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined; // What is missing may come: try again with the next start.
      throw error;
    }
  }
}

/**
 * Makes the pod's volumes as folders under `dir`, one each. A folder that was there before, in which a container may
 * have put links, is replaced as a whole: nothing is written through it. Throws StartError naming what is missing or
 * what no pod of this node can have.
 */
export async function makeVolumes(pod: Pod, dir: string, client: Client, place: Place): Promise<void> {
  const sources = new ConfigSources(client, pod.metadata.namespace ?? 'default');
  for (const volume of pod.spec.volumes ?? []) {
    const folder = join(dir, contained(volume.name, volume.name));
    if (volume.emptyDir) {
      await mkdir(folder, { recursive: true, mode: 0o777 }); // It keeps what containers put there, over their restarts.
      continue;
    }
    const files = await filesOf(volume, pod, sources, place);
    const aside = [join(dir, `.${randomUUID()}`), join(dir, `.${randomUUID()}`)] as const;
    const [fresh, before] = aside;
    try {
      await mkdir(fresh, { recursive: true, mode: 0o777 });
      for (const { path, content, mode } of files) {
        const target = join(fresh, fileWithin(path, volume.name));
        await mkdir(dirname(target), { recursive: true });
        await rm(target, { force: true });
        await writeFile(target, content, { mode });
      }
      await rename(folder, before).catch(ignoreMissing);
      await rename(fresh, folder);
    } finally {
      for (const path of aside) await rm(path, { recursive: true, force: true });
    }
  }
}

const ignoreMissing = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error;
};

/**
 * What a container sees of the volumes made under `dir`. A subPath that is not there is made; one that leads through a
 * link is refused: a container may have put it there to be shown what is outside.
 */
export async function mountsOf(
  container: Container,
  dir: string,
  environment: Readonly<Record<string, string>>,
): Promise<Mount[]> {
  const mounts: Mount[] = [];
  for (const { name, mountPath, readOnly, subPath, subPathExpr } of container.volumeMounts ?? []) {
    const inner = subPathExpr === undefined ? (subPath ?? '') : expand(subPathExpr, environment);
    let source = join(dir, contained(name, name));
    for (const part of contained(inner, name).split('/').filter(Boolean)) {
      source = join(source, part);
      const found = await lstat(source).catch(ignoreMissing);
      if (!found) await mkdir(source, { mode: 0o777 });
      else if (found.isSymbolicLink()) throw refused(name, `the subPath ${inner} leads through the link ${part}`);
    }
    mounts.push({ source, path: mountPath, isReadOnly: readOnly ?? false });
  }
  return mounts;
}

async function filesOf(volume: Volume, pod: Pod, sources: ConfigSources, place: Place): Promise<VolumeFile[]> {
  const { name, configMap, secret, projected, downwardAPI } = volume;
  const at = (mode = 0o644) => ({ mode, volume: name });
  if (configMap) {
    const { items, defaultMode, optional } = configMap;
    return chosen(await sources.configMap(configMap.name, optional), items, at(defaultMode));
  }
  if (secret) {
    const { items, defaultMode, optional } = secret;
    return chosen(await sources.secret(secret.secretName, optional), items, at(defaultMode));
  }
  if (downwardAPI) return described(downwardAPI.items, pod, place, at(downwardAPI.defaultMode));
  if (!projected) {
    const kind = Object.keys(volume).find((key) => key !== 'name');
    throw refused(name, `${kind} volumes are not supported on this node: use configMap, secret, projected or emptyDir`);
  }
  const files: VolumeFile[] = [];
  for (const source of projected.sources ?? []) {
    const mode = at(projected.defaultMode);
    if (source.configMap) {
      files.push(
        ...chosen(
          await sources.configMap(source.configMap.name, source.configMap.optional),
          source.configMap.items,
          mode,
        ),
      );
    } else if (source.secret) {
      files.push(
        ...chosen(await sources.secret(source.secret.name, source.secret.optional), source.secret.items, mode),
      );
    } else if (source.downwardAPI) files.push(...described(source.downwardAPI.items, pod, place, mode));
    else throw refused(name, `${Object.keys(source)[0]} projections are not supported on this node`);
  }
  return files;
}

interface Where {
  mode: number;
  volume: string;
}

/** All keys as files, or those that `items` lists under their own paths. */
function chosen(
  values: Record<string, Buffer> | undefined,
  items: readonly KeyToPath[] | undefined,
  { mode, volume }: Where,
): VolumeFile[] {
  if (!values) return []; // Optional, and not there.
  if (!items) {
    const odd = Object.keys(values).find((key) => !isConfigKey(key));
    if (odd !== undefined) throw refused(volume, `the key ${JSON.stringify(odd)} cannot be the name of a file`);
    return Object.entries(values).map(([path, content]) => ({ path, content, mode }));
  }
  return items.map((item) => {
    const content = Object.hasOwn(values, item.key) ? values[item.key] : undefined;
    if (!content) throw refused(volume, `references non-existent config key: ${item.key}`);
    return { path: item.path, content, mode: item.mode ?? mode };
  });
}

function described(
  items: readonly DownwardFile[] | undefined,
  pod: Pod,
  place: Place,
  { mode, volume }: Where,
): VolumeFile[] {
  return (items ?? []).map(({ path, fieldRef, resourceFieldRef, mode: own }) => {
    const container = pod.spec.containers.find((c) => c.name === resourceFieldRef?.containerName);
    const text = fieldRef
      ? fieldOf(pod, fieldRef.fieldPath, place)
      : resourceFieldRef && container
        ? resourceOf(container, resourceFieldRef.resource, resourceFieldRef.divisor, place.host)
        : undefined;
    if (text === undefined) throw refused(volume, `${path}: neither a field nor a container's resource`);
    return { path, content: Buffer.from(text), mode: own ?? mode };
  });
}

/** The path of a file that the node makes: names that begin with two dots are kept for the node itself. */
function fileWithin(path: string, volume: string): string {
  const inner = contained(path, volume);
  if (inner === '' || inner.startsWith('..'))
    throw refused(volume, `no file can have the path ${JSON.stringify(path)}`);
  return inner;
}

function contained(path: string, volume: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(volume, `the path ${path} leads out of the volume`);
  return parts.join('/');
}

const refused = (volume: string, why: string) =>
  new StartError('CreateContainerConfigError', `MountVolume.SetUp failed for volume "${volume}": ${why}`);
