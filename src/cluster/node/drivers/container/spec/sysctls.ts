import type { Pod } from '../../../../../api/core/pod.ts';
import { StartError } from '../../../driver.ts';

/** Kubernetes' safe set: each is of one namespace, and disturbs no other pod. */
const safe: readonly string[] = [
  'kernel.shm_rmid_forced',
  ...['ip_local_port_range', 'tcp_syncookies', 'ping_group_range', 'ip_unprivileged_port_start'].map(ipv4),
  ...['ip_local_reserved_ports', 'tcp_keepalive_time', 'tcp_fin_timeout', 'tcp_keepalive_intvl'].map(ipv4),
  ...['tcp_keepalive_probes', 'tcp_rmem', 'tcp_wmem'].map(ipv4),
];

function ipv4(name: string): string {
  return `net.ipv4.${name}`;
}

/** As containerd 2 has them: in a network of its own, a program without privileges may listen on port 80 and ping. */
const ofPodNetworks: Readonly<Record<string, string>> = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};

/** The kernel's settings in a pod's namespaces. Throws StartError in the kubelet's words for one that is not safe. */
export function sysctlsOf(pod: Pod, { isUserMapped = false } = {}): Record<string, string> {
  const { hostNetwork, hostIPC, securityContext } = pod.spec;
  const settings: Record<string, string> = hostNetwork ? {} : { ...ofPodNetworks };
  // The group range must be one of groups that the user namespace has.
  if (isUserMapped) delete settings['net.ipv4.ping_group_range'];
  for (const { name, value } of securityContext?.sysctls ?? []) {
    const dotted = name.includes('/') && !/^[^/]*\./.test(name) ? name.replaceAll('/', '.') : name;
    if (!safe.includes(dotted)) throw forbidden(`"${name}" not allowlisted`);
    const isNetwork = dotted.startsWith('net.');
    if (isNetwork && hostNetwork) throw forbidden(`"${name}" not allowed with host net enabled`);
    if (!isNetwork && hostIPC) throw forbidden(`"${name}" not allowed with host ipc enabled`);
    if (!/^[\x20-\x7e\t]{0,1024}$/.test(value)) throw forbidden(`the value of "${name}" is not a line of text`);
    settings[dotted] = value;
  }
  return settings;
}

const forbidden = (why: string) => new StartError('CreateContainerConfigError', `forbidden sysctl: ${why}`);
