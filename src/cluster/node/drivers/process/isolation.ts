import type { Container } from '../../../../api/core/pod-spec.ts';
import { serviceAccountPath } from '../../../../api/core/service-account.ts';

/** What a container driver would give and the process driver cannot: for `kittiwake doctor` and the node's events. */
export const missingIsolation: readonly string[] = [
  'no file system of its own: a pod has a copy of its image, but sees the files of the user that runs kittiwake',
  'volumes appear inside the copy of the image ($KITTIWAKE_ROOT), not at absolute paths of the machine',
  'no network of its own: pods share 127.0.0.1; each port is mapped to a free one, which PORT says',
  'resource limits (cpu, memory) are not enforced',
  'securityContext (users, capabilities, seccomp, read-only root) is not applied',
];

/** What of it this container asks for. */
export function notesOn(
  container: Pick<Container, 'name' | 'resources' | 'securityContext' | 'volumeMounts'>,
): string[] {
  const { name, resources, securityContext, volumeMounts } = container;
  const notes: string[] = [];
  const limits = Object.keys(resources?.limits ?? {});
  if (limits.length > 0) notes.push(`${name}: limits (${limits.join(', ')}) are not enforced by the process driver`);
  if (securityContext?.runAsUser !== undefined || securityContext?.readOnlyRootFilesystem) {
    notes.push(`${name}: securityContext is not applied by the process driver`);
  }
  // Nobody asked for what every pod has.
  const paths = (volumeMounts ?? []).map(({ mountPath }) => mountPath).filter((path) => path !== serviceAccountPath);
  if (paths.length > 0) {
    notes.push(
      `${name}: volumes are under $KITTIWAKE_ROOT (${paths.join(', ')}), not at absolute paths: ` +
        'the process driver has no mounts',
    );
  }
  return notes;
}
