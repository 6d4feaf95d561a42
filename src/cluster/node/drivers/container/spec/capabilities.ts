import { StartError } from '../../../driver.ts';

/** What Linux knows, in the kernel's order: bit N of a mask is the Nth. */
export const allCapabilities: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...['LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER'],
  ...['SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE'],
  ...['SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP'],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** What containerd gives a container that says nothing (docs: CRI's default, Docker's too). */
export const defaultCapabilities: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP', 'SETPCAP'],
  ...['NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
].map((name) => `CAP_${name}`);

export interface CapabilitiesAsked {
  isPrivileged: boolean;
  add: readonly string[];
  drop: readonly string[];
}

/**
 * The capabilities of a container's root, as containerd decides: `ALL` first, whether added or dropped, then single
 * ones. The machine cannot give what it has not: of the default ones and of `ALL` what is missing is left out, one that
 * is asked for by name is a StartError.
 */
export function capabilitiesOf(asked: CapabilitiesAsked, ofMachine: readonly string[]): string[] {
  if (asked.isPrivileged) return [...ofMachine];
  const isAll = (name: string) => name === 'ALL';
  const added = asked.add.filter((name) => !isAll(name)).map(fullName);
  const dropped = asked.drop.filter((name) => !isAll(name)).map(fullName);
  const missing = added.find((name) => !ofMachine.includes(name) && !dropped.includes(name));
  if (missing !== undefined) {
    const why = allCapabilities.includes(missing)
      ? 'which the node itself has not got'
      : 'which is none of Linux: see capabilities(7)';
    throw new StartError('CreateContainerError', `the container asks for the capability ${missing}, ${why}`);
  }
  let base = asked.add.some(isAll) ? [...ofMachine] : defaultCapabilities.filter((name) => ofMachine.includes(name));
  if (asked.drop.some(isAll)) base = [];
  return [...new Set([...base, ...added])].filter((name) => !dropped.includes(name));
}

/** Kubernetes leaves `CAP_` out; either is understood. */
const fullName = (name: string) => `CAP_${name.toUpperCase().replace(/^CAP_/, '')}`;

/** The names of a mask as /proc/PID/status says it, for example `00000000a80425fb`. */
export function capabilitiesOfMask(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  return allCapabilities.filter((_, bit) => (mask & (1n << BigInt(bit))) !== 0n);
}
