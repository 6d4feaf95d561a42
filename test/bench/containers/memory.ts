import { readdirSync, readFileSync } from 'node:fs';

/** Memory in KiB of what watches over the data folder's containers and runs in none; what is shared counts once. */
export function memoryOutsidePods(dataDir: string): number {
  let sumKib = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      if (!environment.split('\0').some((line) => line.startsWith('KITTIWAKE_') && line.includes(dataDir))) continue;
      if (readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('node')) continue;
      sumKib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return sumKib;
}
