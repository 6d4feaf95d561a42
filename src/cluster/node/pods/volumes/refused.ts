import { StartError } from '../../driver.ts';

/** A volume that cannot be made: none of the pod's containers is begun, and an event says why. */
export class MountError extends StartError {
  constructor(message: string, options?: ErrorOptions) {
    super('CreateContainerConfigError', message, options);
  }
}

export const refused = (volume: string, why: string, options?: ErrorOptions): MountError =>
  new MountError(`MountVolume.SetUp failed for volume "${volume}" : ${why}`, options);

/** The parts of a path within a volume, joined; throws when it leads out of it. */
export function contained(path: string, volume: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(volume, `the path ${path} leads out of the volume`);
  return parts.join('/');
}
