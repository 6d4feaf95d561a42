/** `start`: from `kittiwake up` on an existing data folder to API, gateway and broker answering; memory when idle. */
import { readFileSync } from 'node:fs';
import { newDataDir, roleProcesses, startTestPlatform } from '../kit/platform.ts';

const rounds = 5;
const settleMs = 5_000;

export async function run() {
  const { dataDir, remove } = newDataDir();
  try {
    const first = await startTestPlatform(dataDir);
    await first.stop();
    const readyMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const platform = await startTestPlatform(dataDir);
      readyMs.push(platform.readyMs);
      await platform.stop();
    }
    const platform = await startTestPlatform(dataDir);
    await new Promise((resolve) => setTimeout(resolve, settleMs)); // What start-up allocated is collected meanwhile.
    const memory = memoryOf(platform.process.pid ?? 0);
    await platform.stop();
    const idle = memory.reduce((sum, { pssMb }) => sum + pssMb, 0);
    const rss = memory.reduce((sum, { rssMb }) => sum + rssMb, 0);
    return {
      figures: { ready_ms: median(readyMs), idle_mb: idle, idle_rss_sum_mb: rss, first_ready_ms: first.readyMs },
      table: [
        ['start', 'ready'],
        ['first, empty data folder', `${first.readyMs.toFixed(0)} ms`],
        [`existing data folder, median of ${rounds}`, `${median(readyMs).toFixed(0)} ms`],
        ['memory, idle', 'PSS (shared pages counted once)', 'RSS'],
        ...memory.map(({ name, pssMb, rssMb }) => [`  ${name}`, `${pssMb.toFixed(0)} MB`, `${rssMb.toFixed(0)} MB`]),
        ['  all', `${idle.toFixed(0)} MB`, `${rss.toFixed(0)} MB`],
      ],
    };
  } finally {
    remove();
  }
}

function memoryOf(supervisorPid: number): { name: string; pssMb: number; rssMb: number }[] {
  const processes = { supervisor: supervisorPid, ...roleProcesses(supervisorPid) };
  return Object.entries(processes).map(([name, pid]) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const kb = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]);
    return { name, pssMb: kb('Pss') / 1000, rssMb: kb('Rss') / 1000 };
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
