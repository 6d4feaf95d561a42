import { setTimeout } from 'node:timers/promises';
import { checkNotHeld } from '../server/data-dir.ts';
import { holderOf } from '../server/holder.ts';
import { roleProcesses } from '../server/role-processes.ts';
import type { CommonOptions } from './platform.ts';
import { say } from './terminal.ts';

/** The platform kills what has not stopped within 2 s. */
const waits = { waitMs: 10_000, silentMs: 3_000 };

/** `kittiwake down`: asks the supervisor to stop everything, and waits until it has; says what it waits for. */
export async function down({ dataDir }: CommonOptions, { waitMs, silentMs } = waits): Promise<void> {
  const holder = holderOf(dataDir);
  if (holder === undefined) {
    checkNotHeld(dataDir);
    say(`no platform runs on ${dataDir}`);
    return;
  }
  const { pid } = holder;
  signal(pid, 'SIGTERM');
  if (holder.isStopped) say(`process ${pid} was stopped (by Ctrl-Z or SIGSTOP): it is let go on, to end`);
  signal(pid, 'SIGCONT'); // One that is stopped could not end.
  const startedMs = performance.now();
  let isSilent = true;
  while (holderOf(dataDir)?.pid === pid) {
    const waitedMs = performance.now() - startedMs;
    if (isSilent && waitedMs > silentMs) {
      isSilent = false;
      say(`waiting for process ${pid}${rolesOf(pid)}; its logs are in ${dataDir}/logs`);
    }
    if (waitedMs > waitMs) {
      const remedy = `'kill -KILL ${pid}' ends it and its roles, and the next start resumes from what is on disk`;
      const where = `look into ${dataDir}/logs`;
      throw new Error(`process ${pid} has not stopped within ${waitMs / 1000} s${rolesOf(pid)}: ${where}; ${remedy}`);
    }
    await setTimeout(20);
  }
  say('stopped');
}

function signal(pid: number, name: 'SIGTERM' | 'SIGCONT'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPERM') throw new Error(`process ${pid}, which has the data folder, is another user's: ask them`);
    if (code !== 'ESRCH') throw error; // ESRCH: it has ended meanwhile.
  }
}

/** ` (control is process 12, gateway is process 13)`: what of the platform is still there, as far as it can be seen. */
function rolesOf(pid: number): string {
  const roles = Object.entries(roleProcesses(pid)).map(([role, child]) => `${role} is process ${child}`);
  return roles.length === 0 ? '' : ` (${roles.join(', ')})`;
}
