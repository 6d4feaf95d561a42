import { StartError } from '../../driver.ts';

/** A volume that cannot be made, or not be mounted. */
export const refused = (volume: string, why: string): StartError =>
  new StartError('CreateContainerConfigError', `MountVolume.SetUp failed for volume "${volume}": ${why}`);

/** The parts of a path within a volume, joined; throws when it leads out of it. */
export function contained(path: string, volume: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(volume, `the path ${path} leads out of the volume`);
  return parts.join('/');
}
