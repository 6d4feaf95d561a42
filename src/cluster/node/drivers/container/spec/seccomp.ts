import type { OciSeccomp, OciSyscallRule } from './oci.ts';
import { allowedSyscalls } from './seccomp-syscalls.ts';

/** The machine's architecture by Node's name, with what the OCI runtime calls it and what runs on it besides. */
const architectures: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_ARM', 'SCMP_ARCH_AARCH64'],
};

const byArchitecture: Readonly<Record<string, readonly string[]>> = {
  x64: ['arch_prctl', 'modify_ldt'],
  arm64: [
    ...['arm_fadvise64_64', 'arm_sync_file_range', 'sync_file_range2'],
    ...['breakpoint', 'cacheflush', 'set_tls'],
  ],
};

/** What a capability in the bounding set allows besides. */
const byCapability: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_ADMIN: [
    ...['bpf', 'clone', 'clone3', 'fanotify_init', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'lookup_dcookie'],
    ...['mount', 'mount_setattr', 'move_mount', 'open_tree', 'perf_event_open', 'quotactl', 'quotactl_fd'],
    ...['setdomainname', 'sethostname', 'setns', 'syslog', 'umount', 'umount2', 'unshare'],
  ],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'init_module', 'finit_module'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: [...['kcmp', 'pidfd_getfd', 'process_madvise', 'process_vm_readv', 'process_vm_writev', 'ptrace']],
  CAP_SYS_RAWIO: ['iopl', 'ioperm'],
  CAP_SYS_TIME: ['settimeofday', 'stime', 'clock_settime', 'clock_settime64'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYSLOG: ['syslog'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
};

/** Before Linux 4.8 a process could leave its filter by ptrace. */
const withPtraceThatIsFiltered = ['process_vm_readv', 'process_vm_writev', 'ptrace'];

const enosys = 38;
const addressFamily = { ALG: 38, VSOCK: 40 };
/** CLONE_NEW… of mount, cgroup, UTS, IPC, user, PID and network namespaces. */
const cloneNewNamespaces = 0x7e020000;
/** PER_LINUX, PER_LINUX32, UNAME26, both, and the question which it is. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

export interface SeccompMachine {
  /** As `process.arch` says it. */
  architecture: string;
  /** As `os.release()` says it, for example `6.1.0-13-amd64`. */
  kernel: string;
}

/**
 * containerd's default profile, `RuntimeDefault` of Kubernetes: what is not listed fails with EPERM. Which system calls
 * are, depends on the machine and on the capabilities that the container has. Undefined on a machine whose
 * architecture it does not know.
 */
export function defaultSeccomp(capabilities: readonly string[], machine: SeccompMachine): OciSeccomp | undefined {
  const architecturesHere = architectures[machine.architecture];
  if (!architecturesHere) return undefined;
  const syscalls: OciSyscallRule[] = [
    allow(allowedSyscalls),
    // Every family but AF_ALG and AF_VSOCK. Each rule has one condition: several on one argument are an "or" to runc.
    allowSocket('SCMP_CMP_LT', addressFamily.ALG),
    allowSocket('SCMP_CMP_EQ', addressFamily.ALG + 1),
    allowSocket('SCMP_CMP_GT', addressFamily.VSOCK),
    ...personalities.map((value) => ({
      ...allow(['personality']),
      args: [{ index: 0, value, op: 'SCMP_CMP_EQ' as const }],
    })),
    ...(isAtLeast(machine.kernel, 4, 8) ? [allow(withPtraceThatIsFiltered)] : []),
    allow(byArchitecture[machine.architecture] ?? []),
    ...capabilities.flatMap((name) => (byCapability[name] ? [allow(byCapability[name])] : [])),
  ];
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    const args = [{ index: 0, value: cloneNewNamespaces, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' as const }];
    // Its flags are in memory, which a filter cannot read: programs fall back to clone when it seems not to be there.
    syscalls.push({ ...allow(['clone']), args });
    syscalls.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: enosys });
  }
  return { defaultAction: 'SCMP_ACT_ERRNO', architectures: [...architecturesHere], syscalls };
}

const allow = (names: readonly string[]): OciSyscallRule => ({ names: [...names], action: 'SCMP_ACT_ALLOW' });

const allowSocket = (op: 'SCMP_CMP_LT' | 'SCMP_CMP_EQ' | 'SCMP_CMP_GT', value: number): OciSyscallRule => ({
  ...allow(['socket']),
  args: [{ index: 0, value, op }],
});

function isAtLeast(kernel: string, major: number, minor: number): boolean {
  const [, first = '0', second = '0'] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
