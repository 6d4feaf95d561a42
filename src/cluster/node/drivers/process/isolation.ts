/** What a container driver would give and the process driver cannot: for `kittiwake doctor` and the node's events. */
export function missingIsolation(): string[] {
  return [
    'no file system of its own: a pod has its own copy of the image, but sees the files of the user that runs kittiwake',
    'volumes appear inside the copy of the image ($KITTIWAKE_ROOT), not at absolute paths of the machine',
    'no network of its own: pods share 127.0.0.1; each port is mapped to a free one, which PORT says',
    'resource limits (cpu, memory) are not enforced',
    'securityContext (users, capabilities, seccomp, read-only root) is not applied',
  ];
}
