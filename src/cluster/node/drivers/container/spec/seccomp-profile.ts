import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '../../../../../api/core/pod.ts';
import type { Container } from '../../../../../api/core/pod-spec.ts';
import { messageOf } from '../../../../../lib/errors.ts';
import { StartError } from '../../../driver.ts';
import type { OciSeccomp } from './oci.ts';
import { securityOf } from './security.ts';

const sizeMax = 4 * 2 ** 20;

/**
 * The profile that a container names as `Localhost`: a file below `folder`, in the form of the OCI specification.
 * Undefined when it names none. Throws StartError when it cannot be had: the container does not run without.
 */
export async function readSeccompProfile(
  pod: Pod,
  container: Container,
  folder: string,
): Promise<OciSeccomp | undefined> {
  const { type, localhostProfile = '' } = securityOf(pod, container).seccomp;
  if (type !== 'Localhost') return undefined;
  const refused = (why: string) =>
    new StartError('CreateContainerError', `cannot load seccomp profile ${JSON.stringify(localhostProfile)}: ${why}`);
  if (localhostProfile === '' || localhostProfile.startsWith('/') || localhostProfile.split('/').includes('..')) {
    throw refused(`it is a path below ${folder}`);
  }
  let profile: unknown;
  try {
    const text = await readFile(join(folder, localhostProfile));
    if (text.length > sizeMax) throw new Error(`it has ${text.length} bytes, more than ${sizeMax}`);
    profile = JSON.parse(text.toString());
  } catch (error) {
    throw refused(messageOf(error));
  }
  if (!isProfile(profile)) throw refused('it needs a defaultAction, and syscalls with names and an action each');
  return profile;
}

function isProfile(value: unknown): value is OciSeccomp {
  const { defaultAction, syscalls = [], architectures = [] } = (value ?? {}) as Partial<OciSeccomp>;
  const isAction = (action: unknown) => typeof action === 'string' && action.startsWith('SCMP_ACT_');
  const areTexts = (list: unknown) => Array.isArray(list) && list.every((each) => typeof each === 'string');
  return (
    isAction(defaultAction) &&
    areTexts(architectures) &&
    Array.isArray(syscalls) &&
    syscalls.every((rule) => areTexts(rule?.names) && isAction(rule?.action))
  );
}
