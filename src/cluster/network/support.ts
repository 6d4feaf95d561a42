import { messageOf } from '../../lib/errors.ts';
import { findProgram } from '../../lib/system-programs.ts';
import { run } from './commands.ts';

/** The programs of the system that a network of pods needs, and the packages that have them in most distributions. */
const programs = { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux', unshare: 'util-linux' };

/** What the rules are made of, tried in a namespace that is gone at once. */
const trial = `ip link add kw-trial type bridge && ip link add kw-pod type veth peer name kw-peer && nft -f - <<END
table ip kittiwake-trial {
  map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
  chain one { meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.2 . 80, 1 : 10.0.0.3 . 80 }; }
  chain from-pods { type filter hook prerouting priority raw; fib saddr . iif oif missing drop; }
  chain from-host { type nat hook output priority -100; meta l4proto tcp jump one; }
  chain leaving { type nat hook postrouting priority srcnat; ct status dnat masquerade; }
  chain refuse { type filter hook forward priority filter; reject with icmp port-unreachable; }
}
END`;

/**
 * What this machine lacks for pods with a network of their own, and what to do; undefined when it has all: it has been
 * tried then.
 */
export async function missingForPodNetwork(): Promise<{ missing: string; remedy: string } | undefined> {
  if (process.platform !== 'linux') return { missing: 'it needs Linux', remedy: 'pods run as processes here' };
  if (process.getuid?.() !== 0) return { missing: 'it needs root', remedy: 'start the platform as root' };
  for (const [program, from] of Object.entries(programs)) {
    if (findProgram(program) === undefined)
      return { missing: `there is no ${program}`, remedy: `install the package ${from}` };
  }
  try {
    await run(['unshare', '--net', 'sh', '-c', trial], '');
    return undefined;
  } catch (error) {
    return {
      missing: `the kernel refuses what it needs (${messageOf(error).replace(trial, 'a trial')})`,
      remedy: 'load its modules for bridges, veth and nftables, or start the platform outside of a container',
    };
  }
}
