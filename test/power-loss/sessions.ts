import { spawnSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';

/** Runs the workload's own module again for each session, in a process of its own; a session may kill itself. */
export function runSessions(count: number): void {
  for (let session = 0; session < count; session++) {
    const args = [...process.execArgv, ...process.argv.slice(1), `${session}`];
    const { signal, status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0 && signal !== 'SIGKILL') throw new Error(`session ${session} ended with ${signal ?? status}`);
  }
}

/** Ends this process in the middle of its work, once `isTime`. */
export async function killSession(isTime: () => boolean): Promise<void> {
  while (!isTime()) await pause(1);
  process.kill(process.pid, 'SIGKILL');
}
