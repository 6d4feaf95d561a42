import type { ContainerState, ContainerStatus, Pod } from '../../../api/core/pod.ts';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import { timestamp } from '../../../api/meta.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { ContainerExit, RunningContainer } from '../driver.ts';
import { StartError } from '../driver.ts';
import { ImagePullError } from '../images/image.ts';
import { checkOf } from '../probes/check.ts';
import { runProbe } from '../probes/prober.ts';
import type { NodeContext } from './node-context.ts';
import { createBackoffMs, goSeconds, pullBackoffMs, RestartBackoff, shouldRestart } from './restart.ts';
import type { ContainerView } from './status.ts';

export interface ContainerRunnerOptions {
  pod: Pod;
  container: Container;
  isInit: boolean;
  node: NodeContext;
  podIP: string;
  /** From the pod's status, when an earlier agent ran it. */
  before: ContainerStatus | undefined;
  start(restart: number, signal: AbortSignal): Promise<{ running: RunningContainer; imageId: string }>;
  /** Something that the pod's status shows has changed. */
  onChange(): void;
}

const waiting = (reason: string, message?: string): ContainerState => ({
  waiting: message === undefined ? { reason } : { reason, message },
});

/**
 * Runs one container of a pod, again and again as its restart policy says:
 *
 *     waiting ──start──▶ running ──exit──▶ terminated ──policy, back-off──▶ waiting …
 *        ▲ └─ErrImagePull, CreateContainerError…: back-off─┘
 */
export class ContainerRunner {
  readonly #options: ContainerRunnerOptions;
  readonly #stopping = new AbortController();
  readonly #backoff = new RestartBackoff();
  #running: RunningContainer | undefined;
  #imageId = '';
  #containerId: string | undefined;
  #state: ContainerState = waiting('ContainerCreating');
  #lastState: ContainerState | undefined;
  /** Of the run that is shown: the last one that was started. */
  #restartCount = 0;
  #nextRestart = 0;
  #isStarted = false;
  #isReady = false;

  constructor(options: ContainerRunnerOptions) {
    this.#options = options;
    this.#restartCount = options.before?.restartCount ?? 0;
    this.#nextRestart = options.before ? this.#restartCount + 1 : 0;
    this.#lastState = options.before?.lastState;
    if (options.isInit) this.#state = waiting('PodInitializing');
    // Only its end is still true: whether it runs will be seen.
    if (options.before?.state?.terminated) {
      this.#state = options.before.state;
      this.#imageId = options.before.imageID;
      this.#isReady = options.isInit && options.before.state.terminated.exitCode === 0;
    }
  }

  get view(): ContainerView {
    return {
      container: this.#options.container,
      imageId: this.#imageId,
      containerId: this.#containerId,
      state: this.#state,
      lastState: this.#lastState,
      restartCount: this.#restartCount,
      isStarted: this.#isStarted,
      isReady: this.#isReady,
    };
  }

  get container(): Container {
    return this.#options.container;
  }

  get running(): RunningContainer | undefined {
    return this.#running;
  }

  /**
   * Resolves when the container has ended and will not run again. `adopted` is a run that an earlier agent started;
   * `wasRunning` says that there was one, and that it is gone.
   */
  async run(adopted: { running: RunningContainer; imageId: string } | undefined, wasRunning = false): Promise<void> {
    let first = adopted;
    if (wasRunning && !adopted) {
      const exit: ContainerExit = { exitCode: 137, isUnknown: true, finishedAtMs: this.#options.node.clock.now() };
      if (!(await this.#afterExit(exit, undefined))) return;
    }
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      let started: { running: RunningContainer; imageId: string };
      try {
        started = first ?? (await this.#options.start(this.#nextRestart, this.#stopping.signal));
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        await this.#failedToStart(error, failures++);
        continue;
      }
      failures = 0;
      const isAdopted = first !== undefined;
      first = undefined;
      if (!(await this.#follow(started, isAdopted))) return;
    }
  }

  /** SIGTERM, then SIGKILL after `graceMs`; resolves when nothing of the container is left. It does not run again. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#isReady = false;
    await this.#end(graceMs);
  }

  /** The container does not run again when it ends; what runs is left alone. */
  abandon(): void {
    this.#stopping.abort();
  }

  kill(): void {
    this.#stopping.abort();
    this.#running?.signal('SIGKILL');
  }

  /** One run from its start to its end; false when it was the last. */
  async #follow({ running, imageId }: { running: RunningContainer; imageId: string }, isAdopted: boolean) {
    const { node, pod, container, onChange, isInit, before } = this.#options;
    this.#running = running;
    this.#imageId = imageId;
    this.#restartCount = running.id.restart;
    this.#nextRestart = running.id.restart + 1;
    this.#containerId = `${node.driver.name}://${running.id.podUid}/${container.name}/${running.id.restart}`;
    this.#state = { running: { startedAt: timestamp(running.startedAtMs) } };
    // What an earlier agent found stays true until a probe says otherwise: a new agent interrupts no traffic.
    this.#isStarted = isAdopted && (before?.started ?? false);
    this.#isReady = isAdopted && (before?.ready ?? false);
    node.logs.opened(running.logPath);
    if (!isAdopted) node.events.record(pod, 'Normal', 'Started', `Started container ${container.name}`);
    if (this.#stopping.signal.aborted) running.signal('SIGKILL');

    const probing = new AbortController();
    if (isInit) this.#isStarted = true;
    else this.#probe(running, probing.signal);
    onChange();
    const exit = await running.exited;
    probing.abort();
    node.logs.closed(running.logPath);
    this.#running = undefined;
    return this.#afterExit(exit, running);
  }

  /** Records how a run ended and waits until the next is due; false when there is none. */
  async #afterExit(exit: ContainerExit, running: RunningContainer | undefined): Promise<boolean> {
    const { node, pod, container, isInit, onChange } = this.#options;
    const { signal } = this.#stopping;
    const startedAtMs = running?.startedAtMs ?? exit.finishedAtMs;
    this.#isReady = false;
    this.#isStarted = false;
    this.#state = terminatedState(exit, startedAtMs, this.#containerId, running && node.logs.tail(running.logPath));
    const policy = pod.spec.restartPolicy;
    const runsAgain =
      !signal.aborted && shouldRestart(isInit && policy === 'Always' ? 'OnFailure' : policy, exit.exitCode);
    if (!runsAgain) {
      if (isInit && exit.exitCode === 0) this.#isReady = true;
      onChange();
      return false;
    }
    this.#lastState = this.#state;
    // An end that nobody saw is the machine's or the agent's doing, not the program's: it starts again at once.
    const delayMs = exit.isUnknown ? 0 : this.#backoff.next(exit.finishedAtMs - startedAtMs);
    if (delayMs > 0) {
      const who = `${container.name} pod=${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
      const message = `back-off ${goSeconds(delayMs)} restarting failed container=${who}`;
      this.#state = waiting('CrashLoopBackOff', message);
      node.events.record(pod, 'Warning', 'BackOff', `Back-off restarting failed container ${container.name}`);
    }
    onChange();
    return this.#pause(delayMs);
  }

  async #failedToStart(error: unknown, attempt: number): Promise<void> {
    const { node, pod, container, onChange } = this.#options;
    const message = messageOf(error);
    if (error instanceof ImagePullError) {
      node.events.record(pod, 'Warning', 'Failed', message);
      node.events.record(pod, 'Warning', 'Failed', 'Error: ErrImagePull');
      this.#state = waiting('ErrImagePull', message);
      onChange();
      const delayMs = pullBackoffMs(attempt);
      // The registry's own words first, for as long as one looks; then that it is tried again.
      if (!(await this.#pause(1_000))) return;
      this.#state = waiting(
        'ImagePullBackOff',
        `Back-off pulling image "${container.image}": ErrImagePull: ${message}`,
      );
      node.events.record(pod, 'Normal', 'BackOff', `Back-off pulling image "${container.image}"`);
      onChange();
      await this.#pause(delayMs - 1_000);
      return;
    }
    const reason = error instanceof StartError ? error.reason : 'CreateContainerError';
    if (!(error instanceof StartError)) node.log.error({ err: error, pod: pod.metadata.name }, 'a start failed');
    this.#state = waiting(reason, message);
    const isMount = message.startsWith('MountVolume');
    node.events.record(pod, 'Warning', isMount ? 'FailedMount' : 'Failed', isMount ? message : `Error: ${message}`);
    onChange();
    await this.#pause(createBackoffMs(attempt));
  }

  #probe(running: RunningContainer, signal: AbortSignal): void {
    const { container } = this.#options;
    const { startupProbe, readinessProbe, livenessProbe } = container;
    const afterStartup = () => {
      this.#isStarted = true;
      if (readinessProbe) {
        this.#runProbe('Readiness', readinessProbe, running, signal, (isSuccess) => this.#setReady(isSuccess, running));
      } else this.#setReady(true, running);
      if (livenessProbe) {
        this.#runProbe('Liveness', livenessProbe, running, signal, (isSuccess) => {
          if (!isSuccess) void this.#restartUnhealthy('liveness', livenessProbe);
        });
      }
    };
    if (!startupProbe || this.#isStarted) {
      afterStartup();
      return;
    }
    const startup = new AbortController();
    signal.addEventListener('abort', () => startup.abort(), { once: true });
    this.#runProbe('Startup', startupProbe, running, startup.signal, (isSuccess) => {
      startup.abort();
      if (isSuccess) {
        afterStartup();
        this.#options.onChange();
      } else void this.#restartUnhealthy('startup', startupProbe);
    });
  }

  #runProbe(
    name: 'Startup' | 'Readiness' | 'Liveness',
    probe: Probe,
    running: RunningContainer,
    signal: AbortSignal,
    onResult: (isSuccess: boolean) => void,
  ): void {
    const { node, pod, container, podIP } = this.#options;
    const check = checkOf({ probe, container, running, podIP });
    const probing = runProbe({
      probe,
      check,
      clock: node.clock,
      signal,
      isEager: name !== 'Liveness',
      onResult,
      onFailure: (message) => node.events.record(pod, 'Warning', 'Unhealthy', `${name} probe failed: ${message}`),
    });
    probing.catch((error) => node.log.error({ err: error, probe: name, pod: pod.metadata.name }, 'a probe broke'));
  }

  #setReady(isReady: boolean, running: RunningContainer): void {
    if (this.#running !== running || this.#isReady === isReady) return;
    this.#isReady = isReady && !this.#stopping.signal.aborted;
    this.#options.onChange();
  }

  async #restartUnhealthy(probeName: string, probe: Probe): Promise<void> {
    const { node, pod, container } = this.#options;
    const message = `Container ${container.name} failed ${probeName} probe, will be restarted`;
    node.events.record(pod, 'Normal', 'Killing', message);
    const graceSeconds = probe.terminationGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    await this.#end(graceSeconds * 1000);
  }

  async #end(graceMs: number): Promise<void> {
    const { clock } = this.#options.node;
    const running = this.#running;
    if (!running) return;
    running.signal(
      graceMs > 0 ? ((this.#options.container.lifecycle?.stopSignal as 'SIGTERM') ?? 'SIGTERM') : 'SIGKILL',
    );
    const cancel = clock.after(graceMs, () => running.signal('SIGKILL'));
    await running.exited;
    cancel();
  }

  /** False when the runner was stopped meanwhile. */
  async #pause(delayMs: number): Promise<boolean> {
    const { signal } = this.#stopping;
    await sleep(this.#options.node.clock, delayMs, signal).catch(() => undefined); // Stopped: said below.
    return !signal.aborted;
  }
}

function terminatedState(
  exit: ContainerExit,
  startedAtMs: number,
  containerId: string | undefined,
  lastOutput: string | undefined,
): ContainerState {
  const reason = exit.isUnknown ? 'ContainerStatusUnknown' : exit.exitCode === 0 ? 'Completed' : 'Error';
  const terminated: NonNullable<ContainerState['terminated']> = {
    exitCode: exit.exitCode,
    reason,
    startedAt: timestamp(startedAtMs),
    finishedAt: timestamp(exit.finishedAtMs),
  };
  if (exit.isUnknown) terminated.message = 'The container ended while the node agent was not running';
  else if (exit.exitCode !== 0 && lastOutput) terminated.message = lastOutput;
  if (exit.signal !== undefined) terminated.signal = exit.signal;
  if (containerId !== undefined) terminated.containerID = containerId;
  return { terminated };
}
