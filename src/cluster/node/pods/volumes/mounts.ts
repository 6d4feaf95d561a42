import { lstat, mkdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../../api/core/pod.ts';
import type { Container } from '../../../../api/core/pod-spec.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { type Mount, StartError } from '../../driver.ts';
import { LeadsOutError, openWithin } from '../../open-within.ts';
import { expand } from '../expand.ts';
import { dataLink } from './atomic-writer.ts';
import { isFromApi } from './payload.ts';
import { contained, refused } from './refused.ts';

/**
 * What a container sees of the volumes, which are where `sources` says. A subPath that is not there is made; one that
 * leads through a link is refused: a container may have put it there to be shown what is outside.
 */
export async function mountsOf(
  container: Container,
  volumes: Pod['spec']['volumes'],
  sources: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string>>,
): Promise<Mount[]> {
  const mounts: Mount[] = [];
  for (const { name, mountPath, readOnly, subPath, subPathExpr } of container.volumeMounts ?? []) {
    const volume = volumes?.find((each) => each.name === name);
    const inner = contained(subPathExpr === undefined ? (subPath ?? '') : expand(subPathExpr, environment), name);
    const isOurs = volume !== undefined && isFromApi(volume);
    const folder = sources.get(name);
    if (folder === undefined) throw refused(name, 'it is not there');
    const source = await withinVolume(folder, inner, isOurs).catch((error: Error) => {
      const what = `failed to prepare subPath for volumeMount "${name}" of container "${container.name}"`;
      throw new StartError('CreateContainerConfigError', `${what}: ${messageOf(error)}`, { cause: error });
    });
    // What comes from the API is never written to by containers (Kubernetes, since 1.9.4).
    const isReadOnly = readOnly === true || isOurs || volume?.persistentVolumeClaim?.readOnly === true;
    mounts.push({ source, path: mountPath, isReadOnly, ...(inner === '' || isOurs ? {} : { within: folder }) });
  }
  return mounts;
}

async function withinVolume(folder: string, inner: string, isOurs: boolean): Promise<string> {
  const [first = '', ...rest] = inner.split('/').filter(Boolean);
  if (first === '') return folder;
  if (!isOurs && process.platform === 'linux') {
    try {
      await (await openWithin(folder, inner, { makes: true })).close();
    } catch (error) {
      if (!(error instanceof LeadsOutError)) throw error;
      throw new Error(`the subPath ${inner} leads through the link ${error.part}`);
    }
    return join(folder, inner);
  }
  // The one kind of link that the node makes itself: it shows what the volume holds now.
  const shown = isOurs && (await readlink(join(folder, first)).catch(ignoreOthers)) === join(dataLink, first);
  let source = shown ? join(folder, dataLink) : folder;
  for (const part of [first, ...rest]) {
    source = join(source, part);
    const found = await lstat(source).catch(ignoreMissing);
    if (!found) await mkdir(source, { mode: 0o777 });
    else if (found.isSymbolicLink()) throw new Error(`the subPath ${inner} leads through the link ${part}`);
  }
  return source;
}

const ignoreMissing = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT') throw error;
};
/** Neither there nor a link. */
const ignoreOthers = (error: NodeJS.ErrnoException) => {
  if (error.code !== 'ENOENT' && error.code !== 'EINVAL') throw error;
};
