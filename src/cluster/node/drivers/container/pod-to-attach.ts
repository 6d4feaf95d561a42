import type { Pod } from '../../../../api/core/pod.ts';
import type { PodToAttach } from '../../../network/index.ts';

/** What the network is told of a pod. */
export function podToAttach({ metadata, spec }: Pod): PodToAttach {
  const { uid = '', namespace = 'default', name } = metadata;
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const hostPorts = containers
    .flatMap(({ ports = [] }) => ports)
    .flatMap(({ hostIP, hostPort, containerPort, protocol = 'TCP' }) =>
      hostPort ? [{ hostIP, hostPort, containerPort, protocol: protocol as 'TCP' | 'UDP' | 'SCTP' }] : [],
    );
  return { uid, namespace, name, hostPorts };
}
