import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isPodReady, type Pod, PodKind, portsAnnotation } from '../../../api/core/pod.ts';
import type { Container } from '../../../api/core/pod-spec.ts';
import { keyOf, keyText } from '../../../api/meta.ts';
import { isConflict, isNotFound } from '../../../api/status.ts';
import { sleep } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { ContainerOnNode, PortMap, RunningContainer } from '../driver.ts';
import type { Image } from '../images/image.ts';
import { commandOf } from './command.ts';
import { drained } from './connections.ts';
import { ContainerRunner } from './container-runner.ts';
import { environmentOf } from './environment.ts';
import { isPortFree } from './host-ports.ts';
import { imageFor, imageIdOf } from './image-for.ts';
import type { NodeContext } from './node-context.ts';
import { type ContainerView, podStatusOf } from './status.ts';
import { makeVolumes, mountsOf } from './volumes.ts';

/** A status that only says that containers are on their way waits this long for one that says more. */
const idleStatusDelayMs = 250;
const writeRetryMs = 500;

export interface PodRunnerOptions {
  node: NodeContext;
  pod: Pod;
  /** Its containers that still ran when the agent started. */
  recovered: readonly RunningContainer[];
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
  readonly #recovered: Map<string, RunningContainer>;
  readonly #abort = new AbortController();
  #pod: Pod;
  #ports: PortMap = {};
  #mustClaim: boolean;
  #claimed: Promise<void> = Promise.resolve();
  #volumes: Promise<void> | undefined;
  #init: ContainerRunner[] = [];
  #main: ContainerRunner[] = [];
  #images = new Map<string, Image>();
  #failure: { reason: string; message: string } | undefined;
  #isDirty = false;
  #writing: Promise<void> | undefined;
  #cancelIdleWrite: (() => void) | undefined;
  #terminating: Promise<void> | undefined;
  #killAt = new AbortController();
  #cancelKill = () => {};
  #isDetached = false;
  #hasBeenReady = false;

  constructor({ node, pod, recovered, onGone }: PodRunnerOptions) {
    this.uid = pod.metadata.uid ?? '';
    this.#node = node;
    this.#pod = pod;
    this.#onGone = onGone;
    this.#firstSeenMs = node.clock.now();
    this.#mustClaim = (pod.spec.nodeName ?? '') === '';
    this.#recovered = new Map(recovered.map((running) => [running.id.container, running]));
  }

  get pod(): Pod {
    return this.#pod;
  }

  get running(): RunningContainer[] {
    return [...this.#init, ...this.#main].flatMap((runner) => runner.running ?? []);
  }

  /** Claims the pod if it is nobody's yet, and runs it; returns at once. */
  start(): void {
    this.#run().catch((error) => {
      if (!this.#abort.signal.aborted)
        this.#node.log.error({ err: error, pod: this.#pod.metadata.name }, 'a pod broke');
    });
  }

  /** The API has a newer pod. */
  update(pod: Pod): void {
    if (Number(pod.metadata.resourceVersion) > Number(this.#pod.metadata.resourceVersion)) this.#pod = pod;
    if (this.#pod.metadata.deletionTimestamp !== undefined) this.#terminate();
  }

  /** The API has the pod no longer: it was deleted by force, or by this runner. */
  gone(): void {
    if (this.#terminating) this.#killAt.abort();
    else this.#terminating = this.#end(0);
  }

  /** The agent stops: no more writes and no more restarts. What runs goes on running. */
  async detach(): Promise<void> {
    this.#isDetached = true;
    this.#abort.abort();
    this.#cancelIdleWrite?.();
    for (const runner of [...this.#init, ...this.#main]) runner.abandon();
    await this.#writing;
  }

  async #run(): Promise<void> {
    await this.#assignPorts();
    this.#prepareRunners();
    if (this.#pod.metadata.deletionTimestamp !== undefined) {
      for (const runner of [...this.#init, ...this.#main]) void this.#adopt(runner);
      this.#terminate();
      return;
    }
    if (this.#mustClaim) this.#claimed = this.#claim();
    this.#limitDuration();
    const running = this.#runContainers();
    this.#publish();
    await running;
    if (!this.#abort.signal.aborted) await this.#release();
  }

  async #runContainers(): Promise<void> {
    for (const runner of this.#init) {
      if (hasSucceeded(runner)) continue;
      await this.#runContainer(runner);
      if (!hasSucceeded(runner)) return; // The pod has failed, or is being stopped.
    }
    await Promise.all(this.#main.map((runner) => this.#runContainer(runner)));
  }

  async #runContainer(runner: ContainerRunner): Promise<void> {
    const before = this.#statusOf(runner.container);
    const adopting = this.#adopt(runner);
    if (adopting) return adopting;
    if (before?.state?.terminated && this.#pod.spec.restartPolicy === 'Never') return;
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
    return runner.run({ running, imageId: image ? imageIdOf(container, image) : '' });
  }

  /** Ports that the pod has from before stay its own, unless somebody took them while it did not run. */
  async #assignPorts(): Promise<void> {
    const { driver, hostPorts } = this.#node;
    if (driver.network !== 'host') return;
    const [recovered] = this.#recovered.values();
    const annotated = this.#pod.metadata.annotations?.[portsAnnotation];
    if (recovered) this.#ports = recovered.ports;
    else if (annotated !== undefined) {
      this.#ports = JSON.parse(annotated) as PortMap;
      const areFree = await Promise.all(Object.values(this.#ports).map(isPortFree));
      if (areFree.includes(false)) {
        this.#ports = await hostPorts.assign(this.#pod.spec);
        this.#mustClaim = true;
      }
    } else this.#ports = await hostPorts.assign(this.#pod.spec);
    hostPorts.hold(this.#ports);
  }

  /** Writes that this node runs the pod, and at which ports: one write, while the containers are already starting. */
  async #claim(): Promise<void> {
    const { client, clock, nodeName, events, log } = this.#node;
    let pod: Pod | undefined = this.#pod;
    while (!this.#isDetached) {
      if (!pod || pod.metadata.uid !== this.uid) return this.gone();
      const { metadata, spec } = pod;
      const annotations = { ...metadata.annotations, [portsAnnotation]: JSON.stringify(this.#ports) };
      const hasPorts = Object.keys(this.#ports).length > 0;
      try {
        const claimed = hasPorts ? { ...metadata, annotations } : metadata;
        this.update(await client.update(PodKind, { ...pod, metadata: claimed, spec: { ...spec, nodeName } }));
        events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${keyText(keyOf(pod))} to ${nodeName}`);
        return;
      } catch (error) {
        if (isConflict(error) || isNotFound(error)) pod = await this.#readAgain();
        else {
          log.warn({ pod: metadata.name, reason: messageOf(error) }, 'a pod could not be claimed: trying again');
          await sleep(clock, writeRetryMs);
        }
      }
    }
  }

  /** The pod as the API has it now; as it was known when the API does not answer. */
  async #readAgain(): Promise<Pod | undefined> {
    try {
      return await this.#node.client.get(PodKind, keyOf(this.#pod));
    } catch (error) {
      this.#node.log.warn({ pod: this.#pod.metadata.name, reason: messageOf(error) }, 'a pod could not be read');
      await sleep(this.#node.clock, writeRetryMs);
      return this.#pod;
    }
  }

  #prepareRunners(): void {
    const node = this.#node;
    const make = (container: Container, isInit: boolean) => {
      const before = this.#statusOf(container);
      const hasRun = before?.state?.running ?? before?.state?.terminated ?? before?.lastState?.terminated;
      return new ContainerRunner({
        pod: this.#pod,
        container,
        isInit,
        node,
        podIP: node.addresses.podIP,
        before: before && hasRun ? before : undefined,
        start: (restart, signal) => this.#startContainer(container, restart, signal),
        onChange: () => this.#publish(),
      });
    };
    this.#init = (this.#pod.spec.initContainers ?? []).map((container) => make(container, true));
    this.#main = this.#pod.spec.containers.map((container) => make(container, false));
  }

  #statusOf(container: Container) {
    const { containerStatuses = [], initContainerStatuses = [] } = this.#pod.status ?? {};
    return [...containerStatuses, ...initContainerStatuses].find((status) => status.name === container.name);
  }

  async #startContainer(container: Container, restart: number, signal: AbortSignal) {
    const { driver, client, addresses, events, logs, metrics, volumesDir } = this.#node;
    const pod = { ...this.#pod, spec: { ...this.#pod.spec, nodeName: this.#node.nodeName } };
    try {
      const image = await imageFor(this.#node, pod, container);
      this.#images.set(image.digest, image);
      const volumes = join(volumesDir, this.uid);
      this.#volumes ??= makeVolumes(pod, volumes, client, addresses);
      await this.#volumes.catch((error) => {
        this.#volumes = undefined; // What is missing may come: try again with the next start.
        throw error;
      });
      const imageEnv = image.config.env;
      const environment = await environmentOf({ pod, container, imageEnv, ports: this.#ports, client, addresses });
      const start: ContainerOnNode = {
        id: { podUid: this.uid, container: container.name, restart },
        image,
        argv: commandOf(container, image.config, environment),
        workingDir: container.workingDir ?? image.config.workingDir,
        environment,
        mounts: mountsOf(container, volumes, environment),
        ports: this.#ports,
        logPath: logs.pathOf(pod.metadata, container.name, restart),
      };
      const running = await driver.start(start, signal);
      metrics?.starts.inc({ result: 'ok' });
      events.record(pod, 'Normal', 'Created', `Created container: ${container.name}`);
      for (const note of driver.notesOn(container)) events.record(pod, 'Normal', 'NotIsolated', note);
      return { running, imageId: imageIdOf(container, image) };
    } catch (error) {
      metrics?.starts.inc({ result: 'failed' });
      throw error;
    }
  }

  /** Writes the status soon: at once when it says something that others wait for. */
  #publish(): void {
    if (this.#isDetached || this.#terminating) return;
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

  #views(): { init: ContainerView[]; main: ContainerView[] } {
    return { init: this.#init.map((runner) => runner.view), main: this.#main.map((runner) => runner.view) };
  }

  /** Whether anybody could wait for it: not for containers that are being created, or run without being ready yet. */
  #isNews(): boolean {
    const { init, main } = this.#views();
    if (isPodReady(this.#pod) || this.#failure) return true;
    if (main.every((c) => c.isReady)) return true;
    return [...init, ...main].some(({ state }) => {
      if (state.terminated) return true;
      const reason = state.waiting?.reason;
      return reason !== undefined && reason !== 'ContainerCreating' && reason !== 'PodInitializing';
    });
  }

  async #write(): Promise<void> {
    const { client, clock, addresses, log } = this.#node;
    try {
      await this.#claimed;
      if (this.#terminating || this.#isDetached) return;
      this.#isDirty = false;
      const view = { ...this.#views(), startedAtMs: this.#firstSeenMs, failure: this.#failure };
      const status = podStatusOf(this.#pod, view, clock.now(), addresses);
      if (!isDeepStrictEqual(status, this.#pod.status)) {
        const written = await client.update(PodKind, { ...this.#pod, status }, 'status');
        this.update(written);
      }
      this.#wasWritten();
    } catch (error) {
      if (isNotFound(error) || this.#isDetached || this.#abort.signal.aborted) return;
      this.#isDirty = true;
      if (isConflict(error)) {
        const newer = await this.#readAgain();
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
    if (this.#hasBeenReady || !isPodReady(this.#pod)) return;
    this.#hasBeenReady = true;
    const { clock, metrics, driver } = this.#node;
    metrics?.startSeconds.observe((clock.now() - this.#firstSeenMs) / 1000);
    for (const image of this.#images.values()) driver.prepare(image);
  }

  #limitDuration(): void {
    const { activeDeadlineSeconds } = this.#pod.spec;
    if (activeDeadlineSeconds === undefined) return;
    const startedMs = Date.parse(this.#pod.status?.startTime ?? '') || this.#firstSeenMs;
    const cancel = this.#node.clock.after(startedMs + activeDeadlineSeconds * 1000 - this.#node.clock.now(), () => {
      const message = 'Pod was active on the node longer than the specified deadline';
      this.#failure = { reason: 'DeadlineExceeded', message };
      this.#node.events.record(this.#pod, 'Normal', 'DeadlineExceeded', message);
      void Promise.all([...this.#init, ...this.#main].map((runner) => runner.stop(this.#graceMs())));
    });
    this.#abort.signal.addEventListener('abort', cancel, { once: true });
  }

  #graceMs(): number {
    const { metadata, spec } = this.#pod;
    return (metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /** Called again when the grace period was shortened. */
  #terminate(): void {
    if (this.#isDetached) return;
    const graceMs = this.#graceMs();
    this.#cancelKill();
    this.#cancelKill = this.#node.clock.after(graceMs, () => this.#killAt.abort());
    this.#terminating ??= this.#end(graceMs);
  }

  /**
   * Drains, stops, removes. `graceMs` 0 kills at once; otherwise `#killAt` aborts when the time is over:
   * until then connections may end by themselves, and programs may end after SIGTERM.
   */
  async #end(graceMs: number): Promise<void> {
    const { clock, events } = this.#node;
    const runners = [...this.#init, ...this.#main];
    for (const runner of runners) {
      runner.abandon();
      if (runner.running) {
        const { name } = runner.view.container;
        events.record(this.#pod, 'Normal', 'Killing', `Stopping container ${name}`);
      }
    }
    if (graceMs === 0) this.#killAt.abort();
    const onKill = () => {
      for (const runner of runners) runner.kill();
    };
    this.#killAt.signal.addEventListener('abort', onKill, { once: true });
    if (this.running.length > 0) await drained(Object.values(this.#ports), clock, this.#killAt.signal);
    this.#abort.abort();
    await Promise.all(runners.map((runner) => runner.stop(this.#killAt.signal.aborted ? 0 : graceMs)));
    this.#cancelKill();
    if (this.#isDetached) return;
    await this.#writing;
    await this.#claimed;
    await this.#release();
    events.forget(this.uid);
    await this.#deleteObject();
    this.#onGone();
  }

  /** The last write: with it the API forgets the pod. */
  async #deleteObject(): Promise<void> {
    const { clock, client, log } = this.#node;
    const options = { gracePeriodSeconds: 0, preconditions: { uid: this.uid } };
    while (!this.#isDetached) {
      try {
        return await client.delete(PodKind, keyOf(this.#pod), options);
      } catch (error) {
        // Gone already, or another pod has the name: either way this one is deleted.
        if (isNotFound(error) || isConflict(error)) return;
        log.warn(
          { pod: this.#pod.metadata.name, reason: messageOf(error) },
          'a pod could not be deleted: trying again',
        );
        await sleep(clock, writeRetryMs);
      }
    }
  }

  /** Frees what the pod had on this machine; its logs stay. */
  async #release(): Promise<void> {
    await this.#node.driver.removePod(this.uid);
    await rm(join(this.#node.volumesDir, this.uid), { recursive: true, force: true });
    this.#node.hostPorts.release(this.#ports);
  }
}

const hasSucceeded = (runner: ContainerRunner) => runner.view.state.terminated?.exitCode === 0;
