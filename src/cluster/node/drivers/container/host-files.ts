import type { Pod } from '../../../../api/core/pod.ts';

/** The pod's name for itself, as the kubelet cuts it: at most 63 characters, and no dot or dash at the end. */
export function hostnameOf({ metadata, spec }: Pod, domain: string): string {
  const name = (spec.hostname || metadata.name).slice(0, 63).replace(/[-.]+$/, '');
  return spec.setHostnameAsFQDN && spec.subdomain ? fullName(name, spec.subdomain, metadata.namespace, domain) : name;
}

const fullName = (name: string, subdomain: string, namespace = 'default', domain: string) =>
  `${name}.${subdomain}.${namespace}.svc.${domain}`;

/** The text of /etc/hosts, as the kubelet writes it. `hostHosts` is that of the machine, for pods in its network. */
export function hostsFile(pod: Pod, ips: readonly string[], domain: string, hostHosts: string): string {
  const { hostNetwork, hostAliases = [], subdomain } = pod.spec;
  const name = (pod.spec.hostname || pod.metadata.name).slice(0, 63).replace(/[-.]+$/, '');
  const names = subdomain ? `${fullName(name, subdomain, pod.metadata.namespace, domain)}\t${name}` : name;
  const lines = hostNetwork
    ? ['# Kubernetes-managed hosts file (host network).', hostHosts.trimEnd()]
    : [
        '# Kubernetes-managed hosts file.',
        ...['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', 'fe00::0\tip6-localnet'],
        ...['fe00::0\tip6-mcastprefix', 'fe00::1\tip6-allnodes', 'fe00::2\tip6-allrouters'],
        ...ips.map((ip) => `${ip}\t${names}`),
      ];
  const aliases = hostAliases.filter(({ hostnames = [] }) => hostnames.length > 0);
  if (aliases.length > 0) lines.push('', '# Entries added by HostAliases.');
  for (const { ip, hostnames = [] } of aliases) lines.push([ip, ...hostnames].map(oneWord).join('\t'));
  return `${lines.join('\n')}\n`;
}

/** Names come from whoever made the pod: none makes another line. */
const oneWord = (text: string) => text.replace(/\s+/g, '');
