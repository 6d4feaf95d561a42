import type { Pod } from '../../../../api/core/pod.ts';
import type { Volume } from '../../../../api/core/pod-spec.ts';
import type { DownwardFile, KeyToPath, VolumeProjection } from '../../../../api/core/volume.ts';
import { isConfigKey } from '../../../../api/names.ts';
import { messageOf } from '../../../../lib/errors.ts';
import type { ConfigSources, ConfigValues } from '../config-sources.ts';
import { fieldOf, type Place, resourceOf } from '../environment.ts';
import type { PodTokens, TokenProjection } from '../service-account-tokens.ts';
import type { VolumeFile } from './atomic-writer.ts';
import { contained, refused } from './refused.ts';

export interface PayloadOptions {
  pod: Pod;
  place: Place;
  sources: ConfigSources;
  tokens?: PodTokens;
}

/** Whether the content of a volume comes from the API, and changes with what it comes from. */
export const isFromApi = ({ configMap, secret, projected, downwardAPI }: Volume): boolean =>
  (configMap ?? secret ?? projected ?? downwardAPI) !== undefined;

/** The files that a volume from the API shows; throws StartError naming what is missing, or what there is not. */
export async function payloadOf(volume: Volume, options: PayloadOptions): Promise<VolumeFile[]> {
  const { name, configMap, secret, projected, downwardAPI } = volume;
  const files: VolumeFile[] = [];
  if (configMap) files.push(...(await projectionOf({ configMap }, name, configMap.defaultMode, options)));
  if (secret) {
    const { secretName, ...rest } = secret;
    files.push(...(await projectionOf({ secret: { ...rest, name: secretName } }, name, secret.defaultMode, options)));
  }
  if (downwardAPI) files.push(...(await projectionOf({ downwardAPI }, name, downwardAPI.defaultMode, options)));
  for (const source of projected?.sources ?? []) {
    files.push(...(await projectionOf(source, name, projected?.defaultMode, options)));
  }
  return files.map((file) => ({ ...file, path: fileWithin(file.path, name) }));
}

async function projectionOf(
  source: VolumeProjection,
  volume: string,
  defaultMode: number | undefined,
  { pod, place, sources, tokens }: PayloadOptions,
): Promise<VolumeFile[]> {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source;
  const where = { mode: defaultMode ?? 0o644, volume };
  if (configMap) {
    const { name, optional, items } = configMap;
    const values = await sources.configMap(name, optional);
    return chosen(values, items, { ...where, optional, missing: 'configmap references non-existent config key' });
  }
  if (secret) {
    const { name, optional, items } = secret;
    const values = await sources.secret(name, optional);
    return chosen(values, items, { ...where, optional, missing: 'references non-existent secret key' });
  }
  if (downwardAPI) return described(downwardAPI.items, pod, place, where);
  if (serviceAccountToken && tokens) return [await tokenFile(serviceAccountToken, pod, tokens, where)];
  throw refused(volume, `${Object.keys(source)[0]} projections are not supported on this node`);
}

/** Nobody but those whom the pod runs as can read it, where the pod says who that is. */
async function tokenFile(
  projection: TokenProjection,
  pod: Pod,
  tokens: PodTokens,
  { mode, volume }: Where,
): Promise<VolumeFile> {
  try {
    const content = Buffer.from(await tokens.token(pod, projection));
    const uid = onlyUser(pod);
    const isPrivate = uid !== undefined || pod.spec.securityContext?.fsGroup !== undefined;
    return { path: projection.path, content, mode: isPrivate ? 0o600 : mode, uid };
  } catch (error) {
    throw refused(volume, `failed to fetch token: ${messageOf(error)}`);
  }
}

/** The user that all containers run as, where the pod says so (as kubelet's FsUserFrom). */
function onlyUser({ spec }: Pod): number | undefined {
  const all = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  const users = new Set(all.map((c) => c.securityContext?.runAsUser ?? spec.securityContext?.runAsUser));
  return users.size === 1 ? [...users][0] : undefined;
}

interface Where {
  mode: number;
  volume: string;
}

/** All keys as files, or those that `items` lists under their own paths; what an optional source lacks is left out. */
function chosen(
  values: ConfigValues | undefined,
  items: readonly KeyToPath[] | undefined,
  { mode, volume, optional, missing }: Where & { optional: boolean | undefined; missing: string },
): VolumeFile[] {
  if (!values) return []; // Optional, and not there.
  if (!items?.length) {
    const odd = Object.keys(values).find((key) => !isConfigKey(key));
    if (odd !== undefined) throw refused(volume, `the key ${JSON.stringify(odd)} cannot be the name of a file`);
    return Object.entries(values).map(([path, content]) => ({ path, content, mode }));
  }
  return items.flatMap((item) => {
    const content = Object.hasOwn(values, item.key) ? values[item.key] : undefined;
    if (content) return [{ path: item.path, content, mode: item.mode ?? mode }];
    if (optional) return [];
    throw refused(volume, `${missing}: ${item.key}`);
  });
}

function described(
  items: readonly DownwardFile[] | undefined,
  pod: Pod,
  place: Place,
  { mode, volume }: Where,
): VolumeFile[] {
  return (items ?? []).map(({ path, fieldRef, resourceFieldRef, mode: own }) => {
    const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
    const container = all.find((c) => c.name === resourceFieldRef?.containerName);
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
