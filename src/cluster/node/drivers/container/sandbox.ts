import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { EphemeralContainer } from '../../../../api/core/ephemeral-containers.ts';
import type { Pod } from '../../../../api/core/pod.ts';
import { bootId } from '../../../../lib/boot-id.ts';
import { sleep } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { isRunning, type ProcessIdentity, startOf } from '../../../../lib/process-identity.ts';
import { endProgram } from '../../../../lib/processes.ts';
import type { PodNetwork } from '../../../network/index.ts';
import type {
  ContainerExit,
  ContainerId,
  ContainerOnNode,
  PodAddresses,
  RunningContainer,
  Sandbox,
} from '../../driver.ts';
import { StartError } from '../../driver.ts';
import { pidPath, readClaim, revoke } from '../claims.ts';
import { drained, establishedIn, establishedTo } from '../connections.ts';
import { endsOnce, makeInput, type ProgramInput } from '../program-input.ts';
import { inputPathOf, type Machinery, markOf, OciContainer, ociIdOf } from './container.ts';
import { forwardTo } from './forward.ts';
import { holdHook, letGo, revokeHeld, waitingName } from './held.ts';
import { launch } from './launch.ts';
import type { Namespaces } from './namespaces.ts';
import { prepareOverlay, type Stacks } from './overlay.ts';
import { type PinnedMounts, pinMounts } from './pinned-mounts.ts';
import { type PodFiles, writePodFiles } from './pod-files.ts';
import { podToAttach } from './pod-to-attach.ts';
import * as records from './record.ts';
import type { OciSpec } from './spec/oci.ts';
import type { Specs } from './specs.ts';
import { failureOf } from './start-failure.ts';

export interface ContainerSandboxOptions extends Machinery {
  podUid: string;
  /** The pod's folder. */
  dir: string;
  namespaces: Namespaces;
  stacks: Stacks;
  specs: Specs;
  /** Undefined where pods have only a loopback of their own. */
  network: PodNetwork | undefined;
  podFiles: PodFiles;
  /** Of the machine, for pods that are in its network. */
  hostAddress: string;
  /** Whether a start can be held (held.ts). */
  canHold(): Promise<boolean>;
  /** Takes a folder away, and its files in good time. */
  discard(path: string): void;
  onRemoved(): void;
}

/** A start of which all is there but the program. */
interface Launched {
  record: records.ContainerRecord;
  child: ChildProcess;
  monitor: ProcessIdentity;
  /** Resolves when it has ended. */
  ended: Promise<void>;
  /** The size of its log before. */
  logBytes: number;
  /** All that it is made of: another start is another. */
  text: string;
}

/** A claim that is not whole after this long was never finished: its process died over it. */
const claimPatienceMs = 500;

/** A pod as namespaces that mounts keep, and containers in them that an OCI runtime runs. */
export class ContainerSandbox implements Sandbox {
  readonly podUid: string;
  readonly bringsRuntimes = false;
  readonly #options: ContainerSandboxOptions;
  readonly #running = new Set<OciContainer>();
  /** Starts that wait, by container. */
  readonly #held = new Map<string, Launched>();
  #pod: Pod | undefined;
  /** Undefined until the sandbox is whole. */
  #record: records.SandboxRecord | undefined;
  #isRemoved = false;
  /** Resolves when nothing of it is being removed. Never rejects. */
  removal: Promise<void> = Promise.resolve();

  constructor(options: ContainerSandboxOptions) {
    this.podUid = options.podUid;
    this.#options = options;
  }

  get addresses(): PodAddresses {
    const [first = '', ...others] = this.#record?.ips ?? [];
    return { ips: [first, ...others], ports: {} };
  }

  get containers(): RunningContainer[] {
    return [...this.#running];
  }

  /** Makes what of it is not there. When it fails, or `signal` aborts, nothing of it is. */
  async make(pod: Pod, signal: AbortSignal): Promise<void> {
    this.#pod = pod;
    if (this.#record) return;
    try {
      await this.#make(pod, signal);
    } catch (error) {
      await this.remove();
      throw error;
    }
  }

  async #make(pod: Pod, signal: AbortSignal): Promise<void> {
    const { dir, namespaces, network, cgroups, podFiles, hostAddress, discard } = this.#options;
    const { podUid } = this;
    const { hostNetwork = false, hostIPC = false, hostPID = false, shareProcessNamespace = false } = pod.spec;
    const { containers, initContainers = [] } = pod.spec;
    signal.throwIfAborted();
    if (existsSync(dir)) {
      // An agent died over it, or the machine.
      await this.#free();
      discard(dir);
    }
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const record: records.SandboxRecord = { podUid, bootId: bootId(), ips: [], namespaces: {} };
    records.writeSandboxRecord(dir, record);
    cgroups.makePod(pod);
    const pid = shareProcessNamespace && !hostPID;
    const own = { network: !hostNetwork, ipc: !hostIPC, uts: !hostNetwork, pid };
    const hasSharedMemory = !hostIPC && containers.length + initContainers.length > 1;
    const making = [
      namespaces.make(podUid, own, signal),
      hasSharedMemory ? namespaces.makeSharedMemory(podUid, signal) : undefined,
    ] as const;
    await Promise.allSettled(making); // When one fails, nothing of the other may come after it was cleared away.
    const [kept, sharedMemoryPath] = await Promise.all(making);
    record.namespaces = kept;
    if (sharedMemoryPath !== undefined) record.sharedMemoryPath = sharedMemoryPath;
    if (kept.network === undefined) record.ips = [hostAddress];
    else if (network) record.ips = [...(await network.attach(podToAttach(pod), kept.network, signal)).ips];
    else record.ips = ['127.0.0.1'];
    writePodFiles(dir, pod, record.ips, podFiles);
    signal.throwIfAborted();
    records.writeSandboxRecord(dir, record);
    this.#record = record;
  }

  async start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer> {
    const { spec, id } = container;
    const place = records.placeOf(this.#options.dir, id.container);
    const pinned = await pinMounts(container.mounts, place);
    let input: ProgramInput | undefined;
    try {
      if (endsOnce(spec)) input = await makeInput(`${place}.stdin`, spec);
      return await this.#start({ ...container, mounts: pinned.mounts }, pinned, input, signal);
    } catch (error) {
      if (input?.heldFd !== undefined) closeSync(input.heldFd);
      throw error;
    } finally {
      if (input) closeSync(input.fd);
      await pinned.release();
    }
  }

  async hold(container: ContainerOnNode, signal: AbortSignal): Promise<boolean> {
    const { id, spec, mounts } = container;
    const isSimple = !spec.stdin && !spec.tty && mounts.every(({ within }) => within === undefined);
    if (!isSimple || !(await this.#options.canHold())) return false;
    const { started } = this.#options;
    const ociSpec = await this.#specOf(container, undefined);
    signal.throwIfAborted();
    const launched = await this.#launch(container, ociSpec, { isHeld: true });
    const waiting = waitingName(ociIdOf(id));
    try {
      if (!(await started.until(waiting, launched.ended))) throw await this.#failed(launched);
    } finally {
      started.forget(waiting);
    }
    this.#held.set(id.container, launched);
    return true;
  }

  async #start(
    container: ContainerOnNode,
    pinned: PinnedMounts,
    input: ProgramInput | undefined,
    signal: AbortSignal,
  ): Promise<RunningContainer> {
    const { id, spec } = container;
    const joinedPath = this.#joinedBy(spec);
    const ociSpec = await this.#specOf(container, joinedPath);
    signal.throwIfAborted(); // From here to the spawn nothing waits, where nothing was held.
    const held = this.#held.get(id.container);
    this.#held.delete(id.container);
    if (held && (await this.#release(held, container, ociSpec))) return this.#arrived(held, undefined);
    if (held) signal.throwIfAborted();
    const launched = await this.#launch(container, ociSpec, { pinned, input, joinedPath });
    return this.#arrived(launched, input?.heldFd);
  }

  /** Lets a held program go, if it is the one that is wanted now; else ends it, and resolves to false. */
  async #release(held: Launched, container: ContainerOnNode, ociSpec: OciSpec): Promise<boolean> {
    const { dir, clock } = this.#options;
    const { record, monitor } = held;
    if (held.text === textOf(container, ociSpec) && isRunning(monitor) && !this.#isRemoved) {
      record.startedAtMs = clock.now();
      records.rewriteContainerRecord(dir, record);
      if (letGo(records.placeOf(dir, record.id.container))) return true;
    }
    await this.#end(record, monitor.pid);
    if (existsSync(record.logPath)) truncateSync(record.logPath, held.logBytes); // What its end made the shell say.
    return false;
  }

  /** Ends a start whose program has not run. */
  async #end(record: records.ContainerRecord, group: number | undefined): Promise<void> {
    const { dir, cgroups } = this.#options;
    await endProgram({ group, mark: markOf(records.placeOf(dir, record.id.container)).join('=') });
    await cgroups.removeContainer(record.cgroupsPath);
    this.#forget(record.id);
    rmSync(records.containerRecordPath(dir, record.id.container), { force: true });
  }

  async #specOf(container: ContainerOnNode, joinedPath: string | undefined): Promise<OciSpec> {
    const { dir, specs, cgroups } = this.#options;
    const { pod, record } = this.#whole();
    const { id } = container;
    const place = records.placeOf(dir, id.container);
    const joined =
      joinedPath === undefined ? record : { ...record, namespaces: { ...record.namespaces, pid: joinedPath } };
    return specs.of({ pod, container, place, cgroupsPath: cgroups.pathOf(pod, id), sandbox: joined, podDir: dir });
  }

  #whole() {
    const pod = this.#pod;
    const record = this.#record;
    if (pod && record && !this.#isRemoved) return { pod, record };
    throw new Error(`the sandbox of the pod ${this.podUid} is not there any more`);
  }

  async #launch(
    container: ContainerOnNode,
    ociSpec: OciSpec,
    how: { pinned?: PinnedMounts; input?: ProgramInput | undefined; joinedPath?: string | undefined; isHeld?: boolean },
  ): Promise<Launched> {
    const { dir, stacks, runtime, cgroups, started, clock, discard } = this.#options;
    const { id, image, logPath, spec } = container;
    const { pinned, input, joinedPath, isHeld = false } = how;
    const { pod } = this.#whole();
    const ociId = ociIdOf(id);
    const place = records.placeOf(dir, id.container);
    const startedPath = join(started.dir, ociId);
    if (existsSync(place)) discard(place);
    mkdirSync(place, { mode: 0o700 });
    if (input) renameSync(input.path, inputPathOf(place));
    pinned?.write();
    const overlay = prepareOverlay(place, stacks.of(image), image);
    const hook = holdHook(place, join(started.dir, waitingName(ociId)), markOf(place));
    const written = isHeld ? { ...ociSpec, hooks: { poststart: [hook] } } : ociSpec;
    writeFileSync(join(place, 'config.json'), JSON.stringify(written), { mode: 0o600 });
    started.forget(ociId);
    runtime.forget(ociId);
    mkdirSync(dirname(logPath), { recursive: true });
    const hasTerminal = spec.tty === true;
    const hasInput = spec.stdin === true || hasTerminal;
    const record: records.ContainerRecord = {
      id,
      bootId: bootId(),
      logPath,
      startedAtMs: clock.now(),
      cgroupsPath: cgroups.pathOf(pod, id),
      hasInput,
      hasTerminal,
      ...(joinedPath !== undefined && { joinsProcesses: true }),
      ...(isHeld && { isHeld }),
    };
    records.writeContainerRecord(dir, record);
    const logBytes = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
    const child = await launch({
      place,
      claimPath: pidPath(dir, id),
      startedPath,
      logPath,
      overlay,
      command: runtime.run({ id: ociId, bundle: place, startedPath, logPath: join(place, 'runtime.log') }),
      hasInput,
      inputFd: input?.fd,
      hasTerminal,
      copiesOutput: !runtime.makesPipes,
      mark: markOf(place),
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const { pid = 0 } = child;
    const monitor = { pid, startedAt: startOf(pid) ?? '' };
    return { record, child, monitor, ended, logBytes, text: textOf(container, ociSpec) };
  }

  /** Once the program runs. */
  async #arrived(launched: Launched, heldInput: number | undefined): Promise<RunningContainer> {
    const { record, child, monitor, ended } = launched;
    if (!(await this.#options.started.until(ociIdOf(record.id), ended))) throw await this.#failed(launched);
    return this.#follow(record, { monitor, child, heldInput });
  }

  async #failed({ record, child, logBytes }: Launched): Promise<StartError> {
    const { dir, cgroups } = this.#options;
    const { id, logPath } = record;
    const place = records.placeOf(dir, id.container);
    const failure = failureOf(place, child.exitCode);
    // The shell was killed: the runtime may be left.
    if (child.signalCode !== null) await endProgram({ mark: markOf(place).join('=') });
    await cgroups.removeContainer(record.cgroupsPath);
    this.#forget(id);
    rmSync(records.containerRecordPath(dir, id.container), { force: true });
    // What the runtime says is the failure's message, not the program's output.
    if (existsSync(logPath)) truncateSync(logPath, logBytes);
    return failure;
  }

  /** An ephemeral container sees the processes of the one that it looks into: their namespace, where it names one. */
  #joinedBy({ targetContainerName: target }: EphemeralContainer): string | undefined {
    if (!target) return undefined;
    const pid = [...this.#running].find(({ id }) => id.container === target)?.pid;
    if (pid !== undefined) return `/proc/${pid}/ns/pid`;
    throw new StartError(
      'CreateContainerError',
      `unable to find target container ${JSON.stringify(target)}: it does not run`,
    );
  }

  notesOn(): string[] {
    return []; // What cannot be had is a failure of the start.
  }

  memoryVolume(name: string, sizeBytes: number | undefined): Promise<string> {
    return this.#options.namespaces.makeMemory(this.podUid, name, sizeBytes);
  }

  exitOf(id: ContainerId): ContainerExit | undefined {
    const { dir } = this.#options;
    const record = records.readContainerRecord(dir, this.podUid, id.container);
    const exit = readExitOf(dir, id);
    if (record?.id.restart !== id.restart || !exit || exit.exitCode === 'lost') return undefined;
    return { exitCode: exit.exitCode, isUnknown: false, finishedAtMs: exit.finishedAtMs };
  }

  forward(port: number): Promise<Duplex> {
    return forwardTo(port, this.addresses.ips[0], this.#record?.namespaces.network);
  }

  async drained(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const isOfHost = this.#record?.namespaces.network === undefined;
    const ports = (this.#pod?.spec.containers ?? [])
      .flatMap((each) => each.ports ?? [])
      .map((each) => each.containerPort);
    const count = async () => {
      if (isOfHost) return establishedTo(ports);
      const [pid] = [...this.#running].flatMap((each) => each.pid ?? []);
      return pid === undefined ? 0 : establishedIn(pid);
    };
    await drained(count, clock, signal);
  }

  remove(): Promise<void> {
    const removing = this.#remove();
    this.removal = removing.catch(() => {}); // Whoever asked for it is told.
    return removing;
  }

  async #remove(): Promise<void> {
    const { dir, discard, onRemoved } = this.#options;
    if (this.#isRemoved) return; // What is there now is not its own.
    const running = [...this.#running];
    for (const container of running) container.signal('SIGKILL');
    await this.#free();
    await Promise.all(running.map((container) => container.exited));
    if (existsSync(dir)) discard(dir);
    if (!this.#isRemoved) onRemoved();
    this.#isRemoved = true;
    this.#record = undefined;
  }

  /** Ends what may run of it, and gives back to the machine what it has, but for its folder. */
  async #free(): Promise<void> {
    const { dir, cgroups, namespaces, network, runtime, started } = this.#options;
    const followed = new Set([...this.#running].map(({ id }) => id.container));
    const onDisk = await this.#containersOnDisk();
    for (const container of onDisk) {
      const record = records.readContainerRecord(dir, this.podUid, container);
      if (record && (followed.has(container) || revoke(dir, record.id))) continue;
      const claim = record && readClaim(dir, record.id);
      const runs = claim !== undefined && claim !== 'revoked' && isRunning(claim);
      const hasEnded = record !== undefined && !runs && readExitOf(dir, record.id) !== undefined;
      if (hasEnded) continue;
      const [name, value] = markOf(records.placeOf(dir, container));
      await endProgram({ group: runs ? claim.pid : undefined, mark: `${name}=${value}` });
    }
    await cgroups.remove(this.podUid);
    await network?.detach(this.podUid);
    await namespaces.remove(this.podUid);
    for (const container of onDisk) {
      const record = records.readContainerRecord(dir, this.podUid, container);
      if (!record) continue;
      runtime.forget(ociIdOf(record.id));
      started.forget(ociIdOf(record.id));
    }
  }

  /** Finds again what runs of it; what was half started is found, or will never run. */
  async adopt(): Promise<void> {
    const { dir, log } = this.#options;
    const record = records.readSandboxRecord(dir, this.podUid);
    if (record && record.ips.length > 0) this.#record = record;
    for (const container of await this.#containersOnDisk()) {
      try {
        await this.#adopt(container);
      } catch (error) {
        log.warn({ pod: this.podUid, container, reason: messageOf(error) }, 'a container could not be found again');
      }
    }
  }

  async #adopt(container: string): Promise<void> {
    const { dir, clock, cgroups, log } = this.#options;
    const record = records.readContainerRecord(dir, this.podUid, container);
    if (!record) {
      log.warn(
        { pod: this.podUid, container },
        'the record of a container is damaged, or of another run of the machine',
      );
      return; // Its sandbox is made anew, or removed, and what runs of it is ended then.
    }
    if (revoke(dir, record.id)) return;
    if (record.isHeld && revokeHeld(records.placeOf(dir, container))) {
      // Its program has not run, and will not.
      const holder = readClaim(dir, record.id);
      const group = holder !== undefined && holder !== 'revoked' && isRunning(holder) ? holder.pid : undefined;
      await this.#end(record, group);
      return;
    }
    let claim = readClaim(dir, record.id);
    for (let waited = 0; claim === undefined && waited < claimPatienceMs; waited += 10) {
      await sleep(clock, 10);
      claim = readClaim(dir, record.id);
    }
    if (claim !== undefined && claim !== 'revoked' && isRunning(claim)) {
      this.#follow(record, { monitor: claim });
      return;
    }
    if (readExitOf(dir, record.id) === undefined) {
      const [name, value] = markOf(records.placeOf(dir, container));
      await endProgram({ mark: `${name}=${value}` });
    }
    await cgroups.removeContainer(record.cgroupsPath);
    this.#forget(record.id);
  }

  #follow(
    record: records.ContainerRecord,
    process: Pick<ConstructorParameters<typeof OciContainer>[0], 'monitor' | 'child' | 'heldInput'>,
  ): RunningContainer {
    const { runtime, cgroups, started, clock, log, dir } = this.#options;
    const running: OciContainer = new OciContainer({
      ...{ runtime, cgroups, started, clock, log, record },
      ...process,
      place: records.placeOf(dir, record.id.container),
      sharesProcesses:
        this.#record?.namespaces.pid !== undefined ||
        this.#pod?.spec.hostPID === true ||
        record.joinsProcesses === true,
      onEnded: () => {
        this.#running.delete(running);
        this.#forget(record.id);
      },
    });
    this.#running.add(running);
    return running;
  }

  #forget(id: ContainerId): void {
    const { runtime, started } = this.#options;
    runtime.forget(ociIdOf(id));
    started.forget(ociIdOf(id));
  }

  /** The containers that have a record. */
  async #containersOnDisk(): Promise<string[]> {
    const names = await readdir(this.#options.dir).catch(() => [] as string[] /* nothing of it on disk */);
    const suffix = records.containerRecordPath('', '');
    return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  }
}

const readExitOf = (dir: string, id: ContainerId) => records.readExit(records.exitPath(dir, id.container));

const textOf = ({ image, logPath }: ContainerOnNode, spec: OciSpec) => JSON.stringify([image.digest, logPath, spec]);
