import { run } from './commands.ts';
import type { Target } from './services/service-ports.ts';

/** More than that at once are ended by asking for all that were led anywhere. */
const callsMax = 32;

/**
 * UDP has no end: while a client goes on sending, the kernel leads its packets where the first one went, to an endpoint
 * that is gone, or past a node port that had none. This ends that, where the system has `conntrack`.
 */
export async function forgetUdp(old: { endpoints: readonly Target[]; nodePorts: readonly number[] }): Promise<void> {
  const calls = [
    ...old.endpoints.map(({ address, port }) => ['--reply-src', address, '--reply-port-src', String(port)]),
    ...old.nodePorts.map((port) => ['--orig-port-dst', String(port)]),
  ];
  for (const args of calls.length > callsMax ? [['--dst-nat'], ...calls.slice(-callsMax)] : calls) {
    if (!(await forget(args))) return;
  }
}

/** False when there is no such program. */
async function forget(args: readonly string[]): Promise<boolean> {
  try {
    await run(['conntrack', '-D', '-p', 'udp', ...args], '');
  } catch (error) {
    const said = String(error);
    if (/ENOENT/.test(said)) return false;
    // It calls it a failure when there was nothing to delete.
    if (!/0 flow entries have been deleted/.test(said)) throw error;
  }
  return true;
}
