import { constants } from 'node:os';
import type { LifecycleHandler } from '../../../api/core/container.ts';
import type { ContainerState, ContainerStatus, Pod } from '../../../api/core/pod.ts';
import type { Container, Probe } from '../../../api/core/pod-spec.ts';
import { timestamp } from '../../../api/meta.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { ContainerExit, PodAddresses, RunningContainer } from '../driver.ts';
import { StartError } from '../driver.ts';
import { ImagePullError } from '../images/image.ts';
import { probeContainer } from './container-probes.ts';
import { runHook } from './hooks.ts';
import type { NodeContext } from './node-context.ts';
import { type PullFailure, pullFailure } from './pull-failure.ts';
import { createBackoffMs, goSeconds, pullBackoffMs, RestartBackoff, shouldRestart } from './restart.ts';
import type { ContainerRole, ContainerView } from './status.ts';
import { signalNumber } from './stop-signal.ts';
import { terminatedState } from './terminated.ts';
import { MountError } from './volumes/refused.ts';

export interface ContainerRunnerOptions {
  pod: Pod;
  container: Container;
  role: ContainerRole;
  node: NodeContext;
  addresses: PodAddresses;
  /** From the pod's status, when an earlier agent ran it. */
  before: ContainerStatus | undefined;
  start(restart: number, signal: AbortSignal): Promise<Run>;
  /** How a start ended that no agent was there to see, where the driver knows. */
  exitOf(restart: number): ContainerExit | undefined;
  /** Something that the pod's status shows has changed. */
  onChange(): void;
}

/** A run of a container, and what is known of its image: nothing when that is gone. */
export interface Run {
  running: RunningContainer;
  imageId: string;
  stopSignal: string | undefined;
  /** The file for its last words. */
  messagePath: string;
}

export interface StopOptions {
  /** From now to the container's SIGKILL. */
  graceMs: number;
  /** The stop signal waits for it, as long as there is grace. Never rejects. */
  turn?: Promise<unknown>;
}

const waiting = (reason: string, message?: string): ContainerState => ({
  waiting: message === undefined ? { reason } : { reason, message },
});

/** However long the preStop hook took, this long is between the stop signal and SIGKILL (as in kubelet). */
const minimumGraceMs = 2_000;

/**
 * Runs one container of a pod, again and again as its restart policy says:
 *
 *     waiting ──start, postStart──▶ running ──exit──▶ terminated ──policy, back-off──▶ waiting …
 *        ▲ └─ErrImagePull, CreateContainerError…: back-off─┘
 *
 * and ends it: preStop, its turn, the stop signal, SIGKILL when the grace period is over.
 */
export class ContainerRunner {
  readonly #options: ContainerRunnerOptions;
  /** Resolves when the container has started for the first time, startup probe and all, or never will. */
  readonly hasStarted: Promise<void>;
  readonly #tellStarted: () => void;
  readonly #stopping = new AbortController();
  readonly #killing = new AbortController();
  readonly #backoff = new RestartBackoff();
  #running: RunningContainer | undefined;
  #imageId = '';
  #stopSignal: string | undefined;
  /** The run that is being ended: each only once. */
  #ending: { running: RunningContainer; ended: Promise<void> } | undefined;
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
    const { promise, resolve } = Promise.withResolvers<void>();
    this.hasStarted = promise;
    this.#tellStarted = resolve;
    this.#restartCount = options.before?.restartCount ?? 0;
    this.#nextRestart = options.before ? this.#restartCount + 1 : 0;
    this.#lastState = options.before?.lastState;
    if (options.pod.spec.initContainers?.length) this.#state = waiting('PodInitializing');
    // Only its end is still true: whether it runs will be seen.
    if (options.before?.state?.terminated) {
      this.#state = options.before.state;
      this.#imageId = options.before.imageID;
      this.#isReady = options.role === 'init' && options.before.state.terminated.exitCode === 0;
    }
  }

  get view(): ContainerView {
    return {
      container: this.#options.container,
      role: this.#options.role,
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

  get role(): ContainerRole {
    return this.#options.role;
  }

  /** An earlier agent has run it. */
  get hasRun(): boolean {
    return this.#options.before !== undefined;
  }

  get running(): RunningContainer | undefined {
    return this.#running;
  }

  /** Init containers run to their end, sidecars for as long as the pod does, whatever the pod's policy. */
  runsAgainAfter(exitCode: number): boolean {
    const { role, pod } = this.#options;
    const { restartPolicy } = pod.spec;
    if (role === 'sidecar') return true;
    if (role === 'ephemeral') return false;
    return shouldRestart(role === 'init' && restartPolicy !== 'Never' ? 'OnFailure' : restartPolicy, exitCode);
  }

  /**
   * Resolves when the container has ended and will not run again; never rejects. `adopted` is a run that an earlier
   * agent started; `wasRunning` says that there was one, and that it is gone.
   */
  async run(adopted: Run | undefined, wasRunning = false): Promise<void> {
    try {
      await this.#runAgainAndAgain(adopted, wasRunning);
    } finally {
      this.#tellStarted();
    }
  }

  async #runAgainAndAgain(adopted: Run | undefined, wasRunning: boolean): Promise<void> {
    let first = adopted;
    const missed = adopted ? undefined : this.#missedExit(wasRunning);
    if (missed && !(await this.#afterExit(missed, undefined))) return;
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      try {
        const isAdopted = first !== undefined;
        const started = first ?? (await this.#options.start(this.#nextRestart, this.#stopping.signal));
        first = undefined;
        if (!(await this.#follow(started, isAdopted))) return;
        failures = 0;
      } catch (error) {
        first = undefined;
        await this.#killBroken();
        if (this.#stopping.signal.aborted) return;
        if (error instanceof StartError && error.reason === 'RunContainerError') {
          if (!(await this.#afterStartError(error))) return;
        } else await this.#failedToStart(error, failures++);
      }
    }
  }

  /** How a run ended while there was no agent; perhaps before the API was even told of it. Undefined when none did. */
  #missedExit(wasRunning: boolean): ContainerExit | undefined {
    const { exitOf, node } = this.#options;
    const known = exitOf(wasRunning ? this.#restartCount : this.#nextRestart);
    if (known && !wasRunning) this.#restartCount = this.#nextRestart++;
    if (known || !wasRunning) return known;
    return { exitCode: 137, isUnknown: true, finishedAtMs: node.clock.now() };
  }

  /** What cannot be followed may not go on running unseen. */
  async #killBroken(): Promise<void> {
    const running = this.#running;
    if (!running) return;
    running.signal('SIGKILL');
    await running.exited;
    this.#running = undefined;
  }

  /** Resolves when nothing of the container is left. It does not run again. */
  async stop(options: StopOptions): Promise<void> {
    this.abandon();
    await this.#end(options);
  }

  /** The container does not run again when it ends; what runs is left alone. */
  abandon(): void {
    this.#stopping.abort();
    this.#tellStarted();
  }

  /** SIGKILL at once, whatever is under way. */
  kill(): void {
    this.abandon();
    this.#killing.abort();
    this.#running?.signal('SIGKILL');
  }

  /** One run from its start to its end; false when it was the last. */
  async #follow(run: Run, isAdopted: boolean): Promise<boolean> {
    const { running, imageId, stopSignal } = run;
    const { node, pod, container } = this.#options;
    this.#running = running;
    this.#imageId = imageId;
    this.#stopSignal = stopSignal;
    this.#restartCount = running.id.restart;
    this.#nextRestart = running.id.restart + 1;
    this.#containerId = `${node.driver.name}://${running.id.podUid}/${container.name}/${running.id.restart}`;
    node.logs.opened(running.logPath);
    if (!isAdopted) node.events.record(pod, 'Normal', 'Started', `Started container ${container.name}`);
    if (this.#stopping.signal.aborted) running.signal('SIGKILL');

    const life = new AbortController();
    const { postStart } = container.lifecycle ?? {};
    if (isAdopted || !postStart) this.#isUp(running, isAdopted, life.signal);
    else void this.#postStart(postStart, running, life.signal); // Never rejects.
    const exit = await running.exited;
    life.abort();
    node.logs.closed(running.logPath);
    this.#running = undefined;
    return this.#afterExit(exit, run);
  }

  /** The hook has run, if there is one: the container counts as running, and is probed. */
  #isUp(running: RunningContainer, isAdopted: boolean, signal: AbortSignal): void {
    const { role, before, onChange } = this.#options;
    this.#state = { running: { startedAt: timestamp(running.startedAtMs) } };
    // What an earlier agent found stays true until a probe says otherwise: a new agent interrupts no traffic.
    this.#isStarted = isAdopted && (before?.started ?? false);
    this.#isReady = isAdopted && (before?.ready ?? false);
    if (role === 'init') this.#isStarted = true;
    else this.#probe(running, signal);
    onChange();
  }

  async #postStart(handler: LifecycleHandler, running: RunningContainer, signal: AbortSignal): Promise<void> {
    const error = await this.#hook('PostStart', handler, running, signal, Number.POSITIVE_INFINITY);
    if (signal.aborted) return;
    if (error === undefined) this.#isUp(running, false, signal);
    else {
      const { node, pod } = this.#options;
      node.events.record(pod, 'Normal', 'Killing', 'FailedPostStartHook');
      await this.#end({ graceMs: this.#graceMs() });
    }
  }

  /** What went wrong with a lifecycle hook, which an event says too. Never rejects. */
  async #hook(
    name: 'PostStart' | 'PreStop',
    handler: LifecycleHandler,
    running: RunningContainer,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<string | undefined> {
    const { node, pod, container, addresses } = this.#options;
    try {
      await runHook({ handler, container, running, addresses, clock: node.clock, timeoutMs, signal });
      return undefined;
    } catch (error) {
      if (this.#running !== running) return messageOf(error); // It has ended: that is said by itself.
      // Not the message: there may be a secret in what the hook was asked to do.
      node.events.record(pod, 'Warning', `Failed${name}Hook`, `${name}Hook failed`);
      node.log.info({ pod: pod.metadata.name, container: container.name, reason: messageOf(error) }, 'a hook failed');
      return messageOf(error);
    }
  }

  /** Records how a run ended and waits until the next is due; false when there is none. */
  #afterExit(exit: ContainerExit, run: Run | undefined): Promise<boolean> {
    const { node, container } = this.#options;
    const { startedAtMs = exit.finishedAtMs, logPath } = run?.running ?? {};
    const state = terminatedState({
      ...{ exit, startedAtMs, container },
      containerId: this.#containerId,
      messagePath: run?.messagePath,
      lastOutput: () => (logPath === undefined ? '' : node.logs.tail(logPath)),
    });
    // An end that nobody saw is the machine's or the agent's doing, not the program's: it starts again at once.
    return this.#afterEnd(state, exit.exitCode, () =>
      exit.isUnknown || !run ? 0 : this.#backoff.next(exit.finishedAtMs - startedAtMs),
    );
  }

  /** The program could not be run: that counts as a run that has failed (containerd's StartError). */
  #afterStartError(error: StartError): Promise<boolean> {
    const { node, pod, container } = this.#options;
    const { message, exitCode } = error;
    node.events.record(pod, 'Warning', 'Failed', `Error: ${message}`);
    this.#restartCount = this.#nextRestart++;
    this.#containerId = `${node.driver.name}://${pod.metadata.uid}/${container.name}/${this.#restartCount}`;
    const [startedAt, finishedAt] = [0, node.clock.now()].map(timestamp);
    const end = { exitCode, reason: 'StartError', message, startedAt, finishedAt, containerID: this.#containerId };
    const between = waiting(error.reason, message);
    return this.#afterEnd({ terminated: end } as ContainerState, exitCode, () => this.#backoff.next(0), between);
  }

  async #afterEnd(state: ContainerState, exitCode: number, nextDelayMs: () => number, between = state) {
    const { node, pod, container, role, onChange } = this.#options;
    this.#isReady = false;
    this.#isStarted = false;
    this.#state = state;
    if (this.#stopping.signal.aborted || !this.runsAgainAfter(exitCode)) {
      if (role === 'init' && exitCode === 0) this.#isReady = true;
      onChange();
      return false;
    }
    this.#lastState = state;
    this.#state = between;
    const delayMs = nextDelayMs();
    if (delayMs > 0) {
      const who = `${container.name} pod=${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
      const message = `back-off ${goSeconds(delayMs)} restarting failed container=${who}`;
      this.#state = waiting('CrashLoopBackOff', message);
      const event = `Back-off restarting failed container ${who.replace(' pod=', ' in pod ')}`;
      node.events.record(pod, 'Warning', 'BackOff', event);
    }
    onChange();
    return this.#pause(delayMs);
  }

  async #failedToStart(error: unknown, attempt: number): Promise<void> {
    const { node, pod, container, onChange } = this.#options;
    const message = messageOf(error);
    if (error instanceof ImagePullError) {
      const { backOff, ...failure } = pullFailure(error, container.image ?? '');
      const say = ({ reason, message, events }: Omit<PullFailure, 'backOff'>) => {
        for (const said of events) node.events.record(pod, ...said);
        this.#state = waiting(reason, message);
        onChange();
      };
      say(failure);
      const delayMs = pullBackoffMs(attempt);
      // The registry's own words first, for as long as one looks; then that it is tried again.
      if (!(await this.#pause(1_000))) return;
      if (backOff) say(backOff);
      await this.#pause(delayMs - 1_000);
      return;
    }
    const reason = error instanceof StartError ? error.reason : 'CreateContainerError';
    if (!(error instanceof StartError)) node.log.error({ err: error, pod: pod.metadata.name }, 'a start failed');
    // Volumes come before containers: of those nothing has gone wrong.
    if (error instanceof MountError) node.events.record(pod, 'Warning', 'FailedMount', message);
    else {
      this.#state = waiting(reason, message);
      node.events.record(pod, 'Warning', 'Failed', `Error: ${message}`);
    }
    onChange();
    await this.#pause(createBackoffMs(attempt));
  }

  #probe(running: RunningContainer, signal: AbortSignal): void {
    const { node, pod, container, addresses } = this.#options;
    probeContainer({
      ...{ node, pod, container, running, addresses, signal },
      isStarted: this.#isStarted,
      stopping: this.#stopping.signal,
      onStarted: () => {
        this.#isStarted = true;
        this.#tellStarted();
        this.#options.onChange();
      },
      onReady: (isReady) => this.#setReady(isReady, running),
      onUnhealthy: (name, probe) => this.#restartUnhealthy(name, probe, running),
    });
  }

  #setReady(isReady: boolean, running: RunningContainer): void {
    if (this.#running !== running || this.#isReady === isReady) return;
    this.#isReady = isReady;
    this.#options.onChange();
  }

  #restartUnhealthy(probeName: string, probe: Probe, running: RunningContainer): void {
    const { node, pod, container } = this.#options;
    if (this.#running !== running || this.#ending?.running === running) return;
    const message = `Container ${container.name} failed ${probeName} probe, will be restarted`;
    node.events.record(pod, 'Normal', 'Killing', message);
    const graceSeconds = probe.terminationGracePeriodSeconds;
    // Never rejects.
    void this.#end({ graceMs: graceSeconds === undefined ? this.#graceMs() : graceSeconds * 1000 });
  }

  #graceMs(): number {
    return (this.#options.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /** Ends what runs, if anything does; resolves when nothing of it is left. Never rejects. */
  async #end(options: StopOptions): Promise<void> {
    const running = this.#running;
    if (!running) return;
    if (this.#ending?.running !== running) {
      this.#ending = { running, ended: this.#endRun(running, options) };
      return this.#ending.ended;
    }
    // It is being ended already, for a failed probe say: that goes on, but no longer than this grace.
    const cancelKill = this.#options.node.clock.after(options.graceMs, () => running.signal('SIGKILL'));
    await this.#ending.ended;
    cancelKill();
  }

  async #endRun(running: RunningContainer, { graceMs, turn }: StopOptions): Promise<void> {
    const { clock } = this.#options.node;
    const endsAtMs = clock.monotonic() + graceMs;
    const leftMs = () => Math.max(0, endsAtMs - clock.monotonic());
    // What comes before the signal is waited for until the container has ended, is killed, or its grace is over.
    const asking = new AbortController();
    const giveUp = () => asking.abort();
    const cancelGrace = clock.after(graceMs, giveUp);
    this.#killing.signal.addEventListener('abort', giveUp, { once: true });
    if (this.#killing.signal.aborted || graceMs <= 0) giveUp();
    const exited = running.exited.then(giveUp);
    const { preStop } = this.#options.container.lifecycle ?? {};
    if (preStop && !asking.signal.aborted) {
      await Promise.race([this.#hook('PreStop', preStop, running, asking.signal, leftMs()), aborted(asking.signal)]);
    }
    if (turn && !asking.signal.aborted) await Promise.race([turn, aborted(asking.signal)]);
    cancelGrace();
    const isKilled = this.#killing.signal.aborted || graceMs <= 0;
    running.signal(isKilled ? 'SIGKILL' : this.#stopSignalNumber());
    const graceLeftMs = Math.max(leftMs(), Math.min(minimumGraceMs, graceMs));
    const cancelKill = clock.after(graceLeftMs, () => running.signal('SIGKILL'));
    await exited;
    cancelKill();
    this.#killing.signal.removeEventListener('abort', giveUp);
  }

  /** The pod's stop signal, or its image's; SIGTERM when there is none, or none that this machine knows. */
  #stopSignalNumber(): number {
    const { node, pod, container } = this.#options;
    const asked = container.lifecycle?.stopSignal ?? this.#stopSignal;
    const number = signalNumber(asked ?? 'SIGTERM');
    if (number !== undefined) return number;
    const whose = container.lifecycle?.stopSignal === undefined ? "image's" : "pod's";
    const unknown = `the ${whose} stopSignal ${JSON.stringify(asked)} is no signal of this machine`;
    const message = `Container ${container.name}: ${unknown}: it gets SIGTERM`;
    node.events.record(pod, 'Warning', 'UnknownStopSignal', message);
    return constants.signals.SIGTERM;
  }

  /** False when the runner was stopped meanwhile. */
  async #pause(delayMs: number): Promise<boolean> {
    const { signal } = this.#stopping;
    await sleep(this.#options.node.clock, delayMs, signal).catch(() => undefined); // Stopped: said below.
    return !signal.aborted;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
