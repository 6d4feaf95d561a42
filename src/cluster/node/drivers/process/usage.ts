import { readdir, readFile } from 'node:fs/promises';
import type { ContainerStats } from '../../driver.ts';

/** Of a tick in /proc/PID/stat: USER_HZ is 100 wherever Linux runs. */
const nsPerTick = 10_000_000;

/**
 * What the processes of a group use, by the sum of what /proc says of each (Linux; elsewhere undefined). Memory that
 * they share counts for each of them.
 */
export async function usageOfGroup(group: number): Promise<ContainerStats | undefined> {
  const usage = { cpuUsageNs: 0, memoryUsageBytes: 0, memoryWorkingSetBytes: 0, pids: 0 };
  const names = await readdir('/proc').catch(() => []); // Not there on other systems.
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => ''); // It has ended.
    // From the third field on (proc_pid_stat(5)); the second may hold anything, brackets too.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(fields[2]) !== group) continue;
    const status = await readFile(`/proc/${name}/status`, 'latin1').catch(() => '');
    const residentBytes = Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
    // Its own, and that of children that have ended, each in user and system mode.
    usage.cpuUsageNs += fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * nsPerTick;
    usage.memoryUsageBytes += residentBytes;
    usage.memoryWorkingSetBytes += residentBytes;
    usage.pids++;
  }
  return usage.pids === 0 ? undefined : usage;
}
