import { runningPid } from '../server/data-dir.ts';
import type { CommonOptions } from './platform.ts';
import { say } from './terminal.ts';

const waitMs = 10_000;

/** `kittiwake down`: asks the supervisor to stop everything, and waits until it has. */
export async function down({ dataDir }: CommonOptions): Promise<void> {
  const pid = runningPid(dataDir);
  if (pid === undefined) {
    say(`no platform runs on ${dataDir}`);
    return;
  }
  process.kill(pid, 'SIGTERM');
  const startedMs = performance.now();
  while (runningPid(dataDir) === pid) {
    if (performance.now() - startedMs > waitMs) {
      throw new Error(`process ${pid} has not stopped within ${waitMs / 1000} s: look into ${dataDir}/logs`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  say('stopped');
}
