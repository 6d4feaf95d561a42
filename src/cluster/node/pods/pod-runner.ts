import { join } from 'node:path';
import { isPodReady, type Pod, PodKind, portsAnnotation } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { sameJson } from '../../../lib/same-json.ts';
import type { RunningContainer, Sandbox } from '../driver.ts';
import type { Image } from '../images/image.ts';
import { claimPod, readAgain } from './claim.ts';
import { ContainerRunner, type Run } from './container-runner.ts';
import { Deadline } from './deadline.ts';
import { deletePod } from './delete-pod.ts';
import { imageIdOf } from './image-for.ts';
import { makeSandbox } from './make-sandbox.ts';
import type { NodeContext } from './node-context.ts';
import { startContainer } from './start-container.ts';
import { type ContainerRole, type ContainerView, podStatusOf } from './status.ts';
import { messagePathOf } from './terminated.ts';
import { PodVolumes } from './volumes/pod-volumes.ts';

/**
 * How long connections are waited for before a program is told to stop: the other half of the grace period is for it to
 * end in.
 */
export const drainLimitMs = (graceMs: number): number => graceMs / 2;

/** A status that only says that containers are on their way waits this long for one that says more. */
const idleStatusDelayMs = 250;
const writeRetryMs = 500;
/** What is left to a pod that is evicted because it has had too much, as the kubelet has it. */
const evictionGraceMs = 1_000;
const releaseRetryMs = 5_000;

export interface PodRunnerOptions {
  node: NodeContext;
  pod: Pod;
  /** What an earlier agent has left of it. */
  sandbox: Sandbox | undefined;
  /** The pod is gone from the API and from this machine. */
  onGone(): void;
}

/**
 * One pod on this node from its claim to its end: starts containers, tells the API what became of them, and when the
 * pod is deleted drains, stops and removes it.
 */
export class PodRunner {
  readonly uid: string;
  readonly #node: NodeContext;
  readonly #onGone: () => void;
  readonly #firstSeenMs: number;
  /** What ran in the sandbox before, until it is followed. */
  #recovered = new Map<string, RunningContainer>();
  readonly #abort = new AbortController();
  #pod: Pod;
  #sandbox: Sandbox | undefined;
  #making: Promise<unknown> = Promise.resolve();
  #mustClaim: boolean;
  #claimed: Promise<void> = Promise.resolve();
  readonly #volumes: PodVolumes;
  #init: ContainerRunner[] = [];
  #main: ContainerRunner[] = [];
  #ephemeral: ContainerRunner[] = [];
  #images = new Map<string, Image>();
  #failure: { reason: string; message: string } | undefined;
  #isDirty = false;
  #writing: Promise<void> | undefined;
  #cancelIdleWrite: (() => void) | undefined;
  #terminating: Promise<void> | undefined;
  /** Aborted when connections are no longer waited for. */
  readonly #draining = new AbortController();
  #endingGraceMs = Number.POSITIVE_INFINITY;
  #cancelKill = () => {};
  readonly #deadline: Deadline;
  /** Its containers are being run: before, and when it has ended, it has no deadline. */
  #isActive = false;
  #isDetached = false;
  #isGone = false;
  #isOver = false;
  hasBeenReady = false;

  constructor({ node, pod, sandbox, onGone }: PodRunnerOptions) {
    this.uid = pod.metadata.uid ?? '';
    this.#node = node;
    this.#pod = pod;
    this.#onGone = onGone;
    this.#firstSeenMs = node.clock.now();
    const { client, clock, refresher, volumesDir } = node;
    this.#volumes = new PodVolumes({ uid: this.uid, dir: join(volumesDir, this.uid), client, clock, refresher });
    this.#mustClaim = (pod.spec.nodeName ?? '') === '';
    this.#sandbox = sandbox;
    const message = 'Pod was active on the node longer than the specified deadline';
    const onPassed = () => this.#fail('Normal', 'DeadlineExceeded', message, this.#graceMs());
    this.#deadline = new Deadline({ clock: node.clock, firstSeenMs: this.#firstSeenMs, onPassed });
  }

  get pod(): Pod {
    return this.#pod;
  }

  /** Undefined until it has one. */
  get sandbox(): Sandbox | undefined {
    return this.#sandbox;
  }

  get running(): RunningContainer[] {
    return this.#runners.flatMap((runner) => runner.running ?? []);
  }

  get #runners(): ContainerRunner[] {
    return [...this.#init, ...this.#main, ...this.#ephemeral];
  }

  get volumesDir(): string {
    return this.#volumes.dir;
  }

  /** Claims the pod if it is nobody's yet, and runs it; returns at once. */
  start(): void {
    this.#run().catch((error) => this.#broke(error));
  }

  /** Where everything ends that should not have gone wrong with this pod: it is this pod that has failed. */
  #broke(error: unknown): void {
    if (this.#abort.signal.aborted || this.#terminating) return;
    const { log, events } = this.#node;
    log.error({ err: error, pod: this.#pod.metadata.name }, 'a pod broke');
    events.record(this.#pod, 'Warning', 'Failed', `Error: ${messageOf(error)}`);
    this.#failure = { reason: 'NodeError', message: messageOf(error) };
    for (const runner of this.#runners) runner.abandon();
    // Neither rejects.
    void this.#stopContainers(this.#graceMs()).then(() => this.#publish());
  }

  /** The API has a newer pod. */
  update(pod: Pod): void {
    if (Number(pod.metadata.resourceVersion) > Number(this.#pod.metadata.resourceVersion)) this.#pod = pod;
    this.#volumes.update(this.#pod);
    if (this.#isActive && !this.#abort.signal.aborted) this.#deadline.follow(this.#pod);
    if (this.#pod.metadata.deletionTimestamp !== undefined) this.#terminate();
    else this.#addEphemeral();
  }

  /** The API has the pod no longer: it was deleted by force, or by this runner. */
  gone(): void {
    this.#isGone = true;
    if (this.#terminating) this.#kill();
    else this.#terminating = this.#end(0);
  }

  /** The agent stops: no more writes and no more restarts. What runs goes on running. */
  async detach(): Promise<void> {
    this.#isDetached = true;
    this.#abort.abort();
    this.#cancelIdleWrite?.();
    for (const runner of this.#runners) runner.abandon();
    await this.#volumes.close();
    await this.#writing;
  }

  async #run(): Promise<void> {
    const making = this.#makeSandbox();
    this.#making = making;
    const sandbox = await making;
    if (!sandbox) return;
    this.#recovered = new Map(sandbox.containers.map((running) => [running.id.container, running]));
    this.#prepareRunners(sandbox);
    if (this.#pod.metadata.deletionTimestamp !== undefined) {
      for (const runner of this.#runners) void this.#adopt(runner); // Never rejects.
      this.#terminate();
      return;
    }
    if (this.#mustClaim || this.#portsText !== this.#pod.metadata.annotations?.[portsAnnotation]) {
      this.#claimed = this.#claim();
    }
    this.#deadline.follow(this.#pod);
    this.#abort.signal.addEventListener('abort', () => this.#deadline.cancel(), { once: true });
    this.#isActive = true;
    for (const runner of this.#ephemeral) void this.#runContainer(runner); // Never rejects.
    const running = this.#runContainers();
    this.#publish();
    await running;
    if (!this.#abort.signal.aborted && !this.#terminating) await this.#release();
  }

  /** Init containers one after the other, then the main ones; sidecars run beside both, and end last. */
  async #runContainers(): Promise<void> {
    const sidecars: Promise<void>[] = [];
    const isInitialized = this.#main.some((runner) => runner.hasRun || this.#recovered.has(runner.container.name));
    for (const runner of this.#init) {
      if (runner.role === 'sidecar') {
        sidecars.push(this.#runContainer(runner));
        // Once main containers have run, a new agent waits for no sidecar: they are looked after at once.
        if (!isInitialized) await runner.hasStarted;
      } else if (!hasSucceeded(runner)) {
        await this.#runContainer(runner);
        if (!hasSucceeded(runner)) break; // The pod has failed, or is being stopped.
      }
    }
    if (this.#init.every((runner) => runner.role === 'sidecar' || hasSucceeded(runner))) {
      await Promise.all(this.#main.map((runner) => this.#runContainer(runner)));
    }
    if (this.#isDetached || this.#terminating) return;
    await this.#stopContainers(this.#graceMs());
    await Promise.all(sidecars);
    this.#publish();
  }

  async #runContainer(runner: ContainerRunner): Promise<void> {
    const before = this.#statusOf(runner.container);
    const adopting = this.#adopt(runner);
    if (adopting) return adopting;
    const ended = before?.state?.terminated;
    if (ended && !runner.runsAgainAfter(ended.exitCode)) return;
    return runner.run(undefined, before?.state?.running !== undefined);
  }

  /** Goes on with the run that an earlier agent started, if there is one. */
  #adopt(runner: ContainerRunner): Promise<void> | undefined {
    const { container } = runner;
    const running = this.#recovered.get(container.name);
    if (!running) return undefined;
    this.#recovered.delete(container.name);
    const image = this.#node.images.find(container.image ?? '');
    if (image) this.#images.set(image.digest, image);
    const imageId = image ? imageIdOf(container, image) : '';
    const messagePath = messagePathOf(this.#volumes.dir, running.id);
    return runner.run({ running, imageId, stopSignal: image?.config.stopSignal, messagePath });
  }

  async #makeSandbox(): Promise<Sandbox | undefined> {
    const isStopped = () => this.#abort.signal.aborted || this.#terminating !== undefined;
    this.#sandbox = await makeSandbox({
      node: this.#node,
      pod: () => this.#pod,
      signal: this.#abort.signal,
      isStopped,
    });
    return isStopped() ? undefined : this.#sandbox;
  }

  /** Writes that this node runs the pod, and at which ports: one write, while the containers are already starting. */
  async #claim(): Promise<void> {
    const claimed = await claimPod(
      this.#node,
      this.#pod,
      () => this.#portsText,
      () => this.#isDetached,
    );
    if (claimed) this.update(claimed);
    else if (!this.#isDetached) this.gone();
  }

  /** What the annotation says; undefined where each port is its own. */
  get #portsText(): string | undefined {
    const { ports = {} } = this.#sandbox?.addresses ?? {};
    return Object.keys(ports).length === 0 ? undefined : JSON.stringify(ports);
  }

  #prepareRunners(sandbox: Sandbox): void {
    const { containers, initContainers = [], ephemeralContainers = [] } = this.#pod.spec;
    this.#init = initContainers.map((container) =>
      this.#runnerOf(sandbox, container, container.restartPolicy === 'Always' ? 'sidecar' : 'init'),
    );
    this.#main = containers.map((container) => this.#runnerOf(sandbox, container, 'main'));
    this.#ephemeral = ephemeralContainers.map((container) => this.#runnerOf(sandbox, container, 'ephemeral'));
  }

  #runnerOf(sandbox: Sandbox, container: Container, role: ContainerRole): ContainerRunner {
    const before = this.#statusOf(container);
    const hasRun = before?.state?.running ?? before?.state?.terminated ?? before?.lastState?.terminated;
    return new ContainerRunner({
      pod: this.#pod,
      container,
      role,
      node: this.#node,
      addresses: sandbox.addresses,
      before: before && hasRun ? before : undefined,
      start: (restart, signal) => this.#startContainer(sandbox, container, restart, signal),
      exitOf: (restart) => sandbox.exitOf({ podUid: this.uid, container: container.name, restart }),
      onChange: () => this.#publish(),
    });
  }

  /** Those that were added since the pod was last looked at run beside the others, whatever these do. */
  #addEphemeral(): void {
    const sandbox = this.#sandbox;
    if (!sandbox || this.#main.length === 0 || this.#terminating || this.#isDetached) return;
    for (const container of this.#pod.spec.ephemeralContainers ?? []) {
      if (this.#ephemeral.some((runner) => runner.container.name === container.name)) continue;
      const runner = this.#runnerOf(sandbox, container, 'ephemeral');
      this.#ephemeral.push(runner);
      void this.#runContainer(runner); // Never rejects.
    }
  }

  #statusOf(container: Container) {
    const {
      containerStatuses = [],
      initContainerStatuses = [],
      ephemeralContainerStatuses = [],
    } = this.#pod.status ?? {};
    const all = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses];
    return all.find((status) => status.name === container.name);
  }

  async #startContainer(sandbox: Sandbox, container: Container, restart: number, signal: AbortSignal): Promise<Run> {
    const node = this.#node;
    const { namespace = 'default', name } = this.#pod.metadata;
    const pod = { ...this.#pod, spec: { ...this.#pod.spec, nodeName: node.nodeName } };
    const work = () => startContainer({ node, pod, container, restart, sandbox, signal, volumes: this.#volumes });
    const { image, ...run } = await node.quarantine.run(`pod ${namespace}/${name}`, work);
    this.#images.set(image.digest, image);
    return run;
  }

  /** Writes the status soon: at once when it says something that others wait for. */
  #publish(): void {
    if (this.#isDetached) return;
    this.#isDirty = true;
    if (this.#writing) return;
    const write = () => {
      this.#cancelIdleWrite = undefined;
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
        if (this.#isDirty) this.#publish();
      });
    };
    if (this.#isNews()) {
      this.#cancelIdleWrite?.();
      write();
    } else this.#cancelIdleWrite ??= this.#node.clock.after(idleStatusDelayMs, write);
  }

  #views(): { init: ContainerView[]; main: ContainerView[]; ephemeral: ContainerView[] } {
    const views = (runners: ContainerRunner[]) => runners.map((runner) => runner.view);
    return { init: views(this.#init), main: views(this.#main), ephemeral: views(this.#ephemeral) };
  }

  /** Whether anybody could wait for it: not for containers that are being created, or run without being ready yet. */
  #isNews(): boolean {
    const { init, main, ephemeral } = this.#views();
    if (this.#terminating) return this.#isOver;
    if (isPodReady(this.#pod) || this.#failure || ephemeral.some((c) => c.state.running)) return true;
    if (main.every((c) => c.isReady) && init.every((c) => c.role === 'init' || c.isReady)) return true;
    return [...init, ...main].some(({ state }) => {
      if (state.terminated) return true;
      const reason = state.waiting?.reason;
      return reason !== undefined && reason !== 'ContainerCreating' && reason !== 'PodInitializing';
    });
  }

  async #write(): Promise<void> {
    const { client, clock, host, log } = this.#node;
    const { addresses } = this.#sandbox ?? {};
    try {
      await this.#claimed;
      if (this.#isDetached) return;
      this.#isDirty = false;
      const startedAtMs = this.#firstSeenMs;
      const view = { ...this.#views(), startedAtMs, addresses, failure: this.#failure, isOver: this.#isOver };
      const status = podStatusOf(this.#pod, view, clock.now(), host);
      if (!sameJson(status, this.#pod.status)) {
        const written = await client.update(PodKind, { ...this.#pod, status }, 'status');
        this.update(written);
      }
      this.#wasWritten();
    } catch (error) {
      if (isNotFound(error) || this.#isDetached) return;
      this.#isDirty = true;
      if (isConflict(error)) {
        const newer = await readAgain(this.#node, this.#pod);
        if (newer?.metadata.uid === this.uid) this.update(newer);
        else this.#isDirty = false;
      } else {
        log.warn({ pod: this.#pod.metadata.name, reason: messageOf(error) }, 'a status could not be written');
        await sleep(clock, writeRetryMs);
      }
    }
  }

  /** The first time that the pod is ready: then there is time to get ready for the next start. */
  #wasWritten(): void {
    if (this.hasBeenReady || !isPodReady(this.#pod)) return;
    this.hasBeenReady = true;
    const { clock, metrics, driver } = this.#node;
    metrics?.startSeconds.observe((clock.now() - this.#firstSeenMs) / 1000);
    for (const image of this.#images.values()) driver.prepare(image);
  }

  #fail(type: 'Normal' | 'Warning', reason: string, message: string, graceMs: number): void {
    if (this.#failure || this.#terminating || this.#isDetached) return;
    this.#failure = { reason, message };
    this.#node.events.record(this.#pod, type, reason, message);
    void this.#stopContainers(graceMs); // Never rejects.
  }

  /** Ends the pod for good: it has had more than it may, or the machine has too little. */
  evict(message: string): void {
    this.#fail('Warning', 'Evicted', message, evictionGraceMs);
  }

  #graceMs(): number {
    const { metadata, spec } = this.#pod;
    return (metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /** Called again with each change of the object: a grace period can be shortened. */
  #terminate(): void {
    if (this.#isDetached) return;
    const graceMs = this.#graceMs();
    if (this.#terminating && graceMs < this.#endingGraceMs) {
      this.#cancelKill();
      this.#cancelKill = this.#node.clock.after(graceMs, () => this.#kill());
    }
    this.#endingGraceMs = Math.min(this.#endingGraceMs, graceMs);
    this.#terminating ??= this.#end(graceMs);
  }

  #kill(): void {
    this.#draining.abort();
    for (const runner of this.#runners) runner.kill();
  }

  /** Drains, stops, removes; `graceMs` 0 kills at once. Never rejects: what goes wrong is tried again. */
  async #end(graceMs: number): Promise<void> {
    const { events, log, clock } = this.#node;
    for (const runner of this.#runners) {
      runner.abandon();
      if (runner.running) {
        const { name } = runner.container;
        events.record(this.#pod, 'Normal', 'Killing', `Stopping container ${name}`);
      }
    }
    if (graceMs <= 0) this.#kill();
    await this.#stopContainers(graceMs);
    this.#abort.abort();
    this.#cancelKill();
    while (!this.#isDetached) {
      try {
        await this.#claimed;
        await this.#writeLast();
        await this.#release();
        break;
      } catch (error) {
        const reason = messageOf(error);
        log.warn({ pod: this.#pod.metadata.name, reason }, 'a pod has ended, but not all of it could be removed');
        events.record(this.#pod, 'Warning', 'FailedKillPod', `error killing pod: ${reason}`);
        await sleep(clock, releaseRetryMs);
      }
    }
    if (this.#isDetached) return;
    events.forget(this.uid);
    await deletePod(this.#node, this.#pod, () => this.#isDetached);
    this.#onGone();
  }

  /**
   * Ends all containers, as kubelet does: the main ones together, then the sidecars from the last to the first, all
   * within `graceMs` from now (and 2 s each, if that is over). The main ones get their stop signal when no connection
   * is left, at the latest after half of the grace period: the other half is theirs to end in. Never rejects.
   */
  async #stopContainers(graceMs: number): Promise<void> {
    const isServing = this.#main.some((runner) => runner.running);
    const cancelDrain = this.#node.clock.after(drainLimitMs(graceMs), () => this.#draining.abort());
    const quiet = isServing ? this.#sandbox?.drained(this.#draining.signal) : undefined;
    const stops: Promise<void>[] = [...this.#main, ...this.#ephemeral].map((runner) =>
      runner.stop({ graceMs, turn: quiet ?? Promise.resolve() }),
    );
    for (const runner of this.#init.toReversed()) {
      stops.push(runner.stop(runner.role === 'sidecar' ? { graceMs, turn: Promise.all(stops.slice()) } : { graceMs }));
    }
    await Promise.all(stops);
    cancelDrain();
    this.#draining.abort();
  }

  /** What became of the pod, for whoever keeps it by a finalizer, or watches. */
  async #writeLast(): Promise<void> {
    if (this.#isGone) return;
    this.#isOver = true;
    this.#publish();
    while (this.#writing) await this.#writing;
  }

  /** Frees what the pod had on this machine; its logs stay. */
  async #release(): Promise<void> {
    await this.#making;
    await this.#volumes.close();
    await this.#sandbox?.remove();
    await this.#node.files.remove(this.#volumes.dir);
  }
}

const hasSucceeded = (runner: ContainerRunner) => runner.view.state.terminated?.exitCode === 0;
