import { readFile } from 'node:fs/promises';
import { cpus, freemem, totalmem } from 'node:os';
import type { Clock } from '../../../lib/clock.ts';

/** What the machine has used since it was started, and what memory it uses now. */
export interface NodeSample {
  atMs: number;
  cpuNs: number;
  memoryBytes: number;
}

/** Memory that the kernel could free at once is not used. */
export async function sampleNode(clock: Clock): Promise<NodeSample | undefined> {
  const all = cpus();
  if (all.length === 0) return undefined; // No /proc.
  const busyMs = all.reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  const meminfo = await readFile('/proc/meminfo', 'latin1').catch(() => ''); // Not there on other systems.
  const availableBytes = Number(/^MemAvailable:\s*(\d+) kB/m.exec(meminfo)?.[1] ?? Number.NaN) * 1024;
  const free = Number.isNaN(availableBytes) ? freemem() : availableBytes;
  return { atMs: clock.now(), cpuNs: busyMs * 1e6, memoryBytes: totalmem() - free };
}
