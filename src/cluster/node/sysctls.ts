import type { Pod } from '../../api/core/pod.ts';

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

/** A kernel setting's name as it is written with dots: `net/ipv4/tcp_rmem` is the same as `net.ipv4.tcp_rmem`. */
export const withDots = (name: string): string =>
  name.includes('/') && !/^[^/]*\./.test(name) ? name.replaceAll('/', '.') : name;

/** Why the node does not set what the pod asks of the kernel, as the kubelet says it; undefined when it does. */
export function forbiddenSysctl({ spec }: Pod): string | undefined {
  const { hostNetwork, hostIPC, securityContext } = spec;
  for (const { name, value } of securityContext?.sysctls ?? []) {
    const dotted = withDots(name);
    if (!safe.includes(dotted)) return `forbidden sysctl: "${name}" not allowlisted`;
    const isNetwork = dotted.startsWith('net.');
    if (isNetwork && hostNetwork) return `forbidden sysctl: "${name}" not allowed with host net enabled`;
    if (!isNetwork && hostIPC) return `forbidden sysctl: "${name}" not allowed with host ipc enabled`;
    if (!/^[\x20-\x7e\t]{0,1024}$/.test(value)) return `forbidden sysctl: the value of "${name}" is no line of text`;
  }
  return undefined;
}
