import type { Pod } from '../../../../../api/core/pod.ts';
import { StartError } from '../../../driver.ts';
import { forbiddenSysctl, withDots } from '../../../sysctls.ts';

/** As containerd 2 has them: in a network of its own, a program without privileges may listen on port 80 and ping. */
const ofPodNetworks: Readonly<Record<string, string>> = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

/** The kernel's settings in a pod's namespaces. Throws StartError for one that the node does not set. */
export function sysctlsOf(pod: Pod, { isUserMapped = false } = {}): Record<string, string> {
  const { hostNetwork, securityContext } = pod.spec;
  const forbidden = forbiddenSysctl(pod);
  if (forbidden !== undefined) throw new StartError('CreateContainerConfigError', forbidden);
  const settings: Record<string, string> = hostNetwork ? {} : { ...ofPodNetworks };
  // The group range must be one of groups that the user namespace has.
  if (isUserMapped) delete settings['net.ipv4.ping_group_range'];
  for (const { name, value } of securityContext?.sysctls ?? []) settings[withDots(name)] = value;
  return settings;
}
