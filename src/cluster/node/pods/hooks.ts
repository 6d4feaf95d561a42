import type { LifecycleHandler } from '../../../api/core/container.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { type Clock, sleep } from '../../../lib/clock.ts';
import type { PodAddresses, RunningContainer } from '../driver.ts';
import { portOf } from '../probes/check.ts';
import { getHttp } from '../probes/http.ts';
import { runCommand } from '../probes/run-command.ts';

export interface HookOptions {
  handler: LifecycleHandler;
  container: Container;
  running: RunningContainer;
  addresses: PodAddresses;
  clock: Clock;
  /** A command is killed, an answer no longer waited for, after this long. */
  timeoutMs: number;
  signal: AbortSignal;
}

/**
 * Runs a postStart or preStop hook to its end, as kubelet does (pkg/kubelet/lifecycle/handlers.go): a command must exit
 * with 0; of an HTTP request any answer will do. Throws an Error that says what went wrong.
 */
export async function runHook({ handler, container, running, addresses, clock, timeoutMs, signal }: HookOptions) {
  const { exec, httpGet, sleep: pause } = handler;
  if (exec) {
    const command = exec.command ?? [];
    const { exitCode, output } = await runCommand(running, command, { timeoutMs, signal });
    if (exitCode === 0) return;
    throw new Error(`command [${command.join(' ')}] exited with ${exitCode}: ${output.trim()}`);
  }
  if (httpGet) {
    const port = portOf(httpGet.port, container, addresses);
    await getHttp({ httpGet, port, host: httpGet.host || addresses.ips[0], timeoutMs, purpose: 'lifecycle' });
    return;
  }
  if (pause) return sleep(clock, pause.seconds * 1000, signal);
  // Kubernetes accepts tcpSocket for old manifests' sake and fails it when it is due.
  throw new Error('it names no exec, httpGet or sleep: others are not run');
}
