import type { Pod } from '../../../../../api/core/pod.ts';
import type { Container } from '../../../../../api/core/pod-spec.ts';
import { StartError } from '../../../driver.ts';
import { securityOf } from './security.ts';

/** Who a container's program runs as. */
export interface ContainerUser {
  uid: number;
  gid: number;
  /** The primary one, those that /etc/group names, fsGroup and the supplemental ones; ascending. */
  additionalGids: number[];
}

export interface UserOptions {
  pod: Pod;
  container: Container;
  /** As the image's configuration says it: `USER[:GROUP]`, names or numbers; '' for root. */
  imageUser: string;
  /** A file of the image, whatever layer it is in; undefined when there is none. */
  readFile(path: '/etc/passwd' | '/etc/group'): Promise<Buffer | undefined>;
}

/** What the OCI runtimes take: an int32. */
const idMax = 2 ** 31 - 1;
/** A list of all users of a large site has some megabytes; what is longer is not read. */
const fileSizeMax = 8 * 2 ** 20;

/**
 * The user of a container: what the pod says, else what the image says, else root. Names are looked up in the image's
 * own files. Throws StartError in the kubelet's and the runtime's words.
 */
export async function userOf(options: UserOptions): Promise<ContainerUser> {
  const { pod, container, imageUser } = options;
  const security = securityOf(pod, container);
  const image = imageUserOf(imageUser);
  verifyNonRoot(options, image);

  // A pod that says who it is says it alone: the image's group is that of the image's user.
  const user = security.runAsUser ?? image.user;
  const group = security.runAsGroup ?? (security.runAsUser === undefined ? image.group : undefined);
  const passwd = await entriesOf(options, '/etc/passwd');
  const found = passwd.find(([name, , uid]) => (typeof user === 'number' ? uid === String(user) : name === user));
  if (typeof user === 'string' && !found) throw missing('user', user, 'passwd');
  const uid = typeof user === 'number' ? user : idOf(found?.[2], 'uid');
  const policy = pod.spec.securityContext?.supplementalGroupsPolicy;
  const isMember = typeof user === 'string' ? user : found?.[0];
  const groups =
    typeof group === 'string' || (policy !== 'Strict' && isMember !== undefined)
      ? await entriesOf(options, '/etc/group')
      : [];
  const gid = gidOf(group, found, groups);

  const ofImage = policy === 'Strict' || isMember === undefined ? [] : groupsWith(isMember, groups);
  const { fsGroup, supplementalGroups = [] } = pod.spec.securityContext ?? {};
  const all = [gid, ...ofImage, ...supplementalGroups, ...(fsGroup === undefined ? [] : [fsGroup])];
  for (const id of [uid, ...all]) checkId(id);
  return { uid, gid, additionalGids: [...new Set(all)].sort((a, b) => a - b) };
}

interface ImageUser {
  user: number | string;
  group: number | string | undefined;
}

function imageUserOf(text: string): ImageUser {
  const parts = text.split(':');
  if (parts.length > 2 || text.includes('\0')) throw refused(`invalid USER value ${JSON.stringify(text)} of the image`);
  const [user = '', group] = parts.map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  for (const id of [user, group]) {
    if (typeof id === 'number' && id > idMax) throw refused(`invalid USER value ${JSON.stringify(text)}: out of range`);
  }
  return { user: user === '' ? 0 : user, group: group === '' ? undefined : group };
}

/** As the kubelet does it (verifyRunAsNonRoot). */
function verifyNonRoot({ pod, container }: UserOptions, image: ImageUser): void {
  const security = securityOf(pod, container);
  if (!security.mustNotBeRoot) return;
  const { name, namespace, uid } = pod.metadata;
  const who = `(pod: "${name}_${namespace}(${uid})", container: ${container.name})`;
  const refuse = (why: string) => new StartError('CreateContainerConfigError', `${why} ${who}`);
  if (security.runAsUser === 0) throw refuse("container's runAsUser breaks non-root policy");
  if (security.runAsUser !== undefined) return;
  if (image.user === 0) throw refuse('container has runAsNonRoot and image will run as root');
  if (typeof image.user === 'string') {
    throw refuse(
      `container has runAsNonRoot and image has non-numeric user (${image.user}), cannot verify user is non-root`,
    );
  }
}

function gidOf(group: number | string | undefined, found: Entry | undefined, groups: readonly Entry[]): number {
  if (typeof group === 'number') return group;
  if (group === undefined) return found ? idOf(found[3], 'gid') : 0;
  const entry = groups.find(([name]) => name === group);
  if (!entry) throw missing('group', group, 'group');
  return idOf(entry[2], 'gid');
}

/** But for the group that is the user's own, which is the primary one or none. */
const groupsWith = (user: string, groups: readonly Entry[]): number[] =>
  groups
    .filter(([name, , , members]) => name !== user && (members ?? '').split(',').includes(user))
    .map(([, , gid]) => idOf(gid, 'gid'));

/** The fields of a line. */
type Entry = readonly string[];

async function entriesOf({ readFile }: UserOptions, path: '/etc/passwd' | '/etc/group'): Promise<Entry[]> {
  const content = await readFile(path);
  if (!content) return [];
  if (content.length > fileSizeMax) {
    throw refused(`${path} of the image has ${content.length} bytes: at most ${fileSizeMax} are read`);
  }
  const lines = content.toString('latin1').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.trim().split(':'));
}

function idOf(text: string | undefined, what: 'uid' | 'gid'): number {
  if (!/^\d+$/.test(text ?? '')) throw refused(`${JSON.stringify(text ?? '')} in the image's files is no ${what}`);
  return Number(text);
}

function checkId(id: number): void {
  if (!Number.isInteger(id) || id < 0 || id > idMax) {
    throw refused(`the user or group id ${id} is out of range: it is a number from 0 to ${idMax}`);
  }
}

const refused = (why: string) => new StartError('CreateContainerError', why);
const missing = (what: 'user' | 'group', name: string, file: string) =>
  refused(`unable to find ${what} ${name}: no matching entries in ${file} file`);
