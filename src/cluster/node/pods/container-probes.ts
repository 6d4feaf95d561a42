import type { Pod } from '../../../api/core/pod.ts';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import type { PodAddresses, RunningContainer } from '../driver.ts';
import { checkOf } from '../probes/check.ts';
import { runProbe } from '../probes/prober.ts';
import type { NodeContext } from './node-context.ts';

export interface ContainerProbesOptions {
  node: NodeContext;
  pod: Pod;
  container: Container;
  running: RunningContainer;
  addresses: PodAddresses;
  /** Its startup probe has passed, under an earlier agent. */
  isStarted: boolean;
  /** Ends all of them. */
  signal: AbortSignal;
  /** Ends those that would restart it: it is being stopped. */
  stopping: AbortSignal;
  /** Its startup probe has passed, or it has none. */
  onStarted(): void;
  onReady(isReady: boolean): void;
  /** It must be started anew. */
  onUnhealthy(probeName: 'startup' | 'liveness', probe: Probe): void;
}

/** Probes a container that runs: with its startup probe first, then for readiness and for liveness. */
export function probeContainer(options: ContainerProbesOptions): void {
  const { container, stopping } = options;
  const { startupProbe, readinessProbe, livenessProbe } = container;
  const restarting = AbortSignal.any([options.signal, stopping]);
  const afterStartup = () => {
    options.onStarted();
    if (readinessProbe) run('Readiness', readinessProbe, options, options.signal, options.onReady);
    else options.onReady(true);
    if (livenessProbe) {
      run('Liveness', livenessProbe, options, restarting, (isSuccess) => {
        if (!isSuccess) options.onUnhealthy('liveness', livenessProbe);
      });
    }
  };
  if (!startupProbe || options.isStarted) {
    afterStartup();
    return;
  }
  const startup = new AbortController();
  restarting.addEventListener('abort', () => startup.abort(), { once: true });
  run('Startup', startupProbe, options, startup.signal, (isSuccess) => {
    startup.abort();
    if (isSuccess) afterStartup();
    else options.onUnhealthy('startup', startupProbe);
  });
}

function run(
  name: 'Startup' | 'Readiness' | 'Liveness',
  probe: Probe,
  { node, pod, container, running, addresses }: ContainerProbesOptions,
  signal: AbortSignal,
  onResult: (isSuccess: boolean) => void,
): void {
  const probing = runProbe({
    probe,
    check: checkOf({ probe, container, running, addresses }),
    clock: node.clock,
    signal,
    isEager: name !== 'Liveness',
    onResult,
    onFailure: (message) => node.events.record(pod, 'Warning', 'Unhealthy', `${name} probe failed: ${message}`),
    onWarning: (message) => node.events.record(pod, 'Warning', 'ProbeWarning', `${name} probe warning: ${message}`),
  });
  probing.catch((error) => node.log.error({ err: error, probe: name, pod: pod.metadata.name }, 'a probe broke'));
}
