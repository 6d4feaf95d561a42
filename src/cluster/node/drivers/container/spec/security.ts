import type { Pod } from '../../../../../api/core/pod.ts';
import type { Container } from '../../../../../api/core/pod-spec.ts';

/** What a container's and its pod's securityContext say together: the container's own word counts. */
export interface Security {
  runAsUser: number | undefined;
  runAsGroup: number | undefined;
  mustNotBeRoot: boolean;
  isPrivileged: boolean;
  /** A setuid program, or a file capability, gives nothing more. */
  hasNoNewPrivileges: boolean;
  isRootReadOnly: boolean;
  /** /proc and /sys show all that the kernel has there (`procMount: Unmasked`). */
  isUnmasked: boolean;
  addedCapabilities: readonly string[];
  droppedCapabilities: readonly string[];
  seccomp: { type: string; localhostProfile?: string };
}

export function securityOf(pod: Pod, container: Container): Security {
  const ofPod = pod.spec.securityContext ?? {};
  const own = container.securityContext ?? {};
  const isPrivileged = own.privileged ?? false;
  return {
    runAsUser: own.runAsUser ?? ofPod.runAsUser,
    runAsGroup: own.runAsGroup ?? ofPod.runAsGroup,
    mustNotBeRoot: own.runAsNonRoot ?? ofPod.runAsNonRoot ?? false,
    isPrivileged,
    // As in Kubernetes only when it is asked for: programs with setuid (ping, sudo) work by default.
    hasNoNewPrivileges: own.allowPrivilegeEscalation === false,
    isRootReadOnly: own.readOnlyRootFilesystem ?? false,
    isUnmasked: isPrivileged || own.procMount === 'Unmasked',
    addedCapabilities: own.capabilities?.add ?? [],
    droppedCapabilities: own.capabilities?.drop ?? [],
    // Kubernetes itself says Unconfined here, unless its kubelets run with --seccomp-default: the safe way is ours.
    seccomp: isPrivileged ? { type: 'Unconfined' } : (own.seccompProfile ?? ofPod.seccompProfile ?? defaultProfile),
  };
}

const defaultProfile = { type: 'RuntimeDefault' };
