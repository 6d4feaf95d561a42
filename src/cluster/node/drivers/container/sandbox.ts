import {
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { EphemeralContainer } from '../../../../api/core/ephemeral-containers.ts';
import type { Pod } from '../../../../api/core/pod.ts';
import { bootId } from '../../../../lib/boot-id.ts';
import { sleep } from '../../../../lib/clock.ts';
import { messageOf } from '../../../../lib/errors.ts';
import { isRunning, startOf } from '../../../../lib/process-identity.ts';
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
import { launch, revokedCode, unmountedCode } from './launch.ts';
import type { Namespaces } from './namespaces.ts';
import { errorIn } from './oci-runtime.ts';
import { prepareOverlay, type Stacks } from './overlay.ts';
import { type PinnedMounts, pinMounts } from './pinned-mounts.ts';
import { type PodFiles, writePodFiles } from './pod-files.ts';
import * as records from './record.ts';
import type { Specs } from './specs.ts';

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
  /** Takes a folder away, and its files in good time. */
  discard(path: string): void;
  onRemoved(): void;
}

/** A claim that is not whole after this long was never finished: its process died over it. */
const claimPatienceMs = 500;

/** A pod as namespaces that mounts keep, and containers in them that an OCI runtime runs. */
export class ContainerSandbox implements Sandbox {
  readonly podUid: string;
  readonly bringsRuntimes = false;
  readonly #options: ContainerSandboxOptions;
  readonly #running = new Set<OciContainer>();
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
    else if (network) record.ips = [...(await network.attach(toAttach(pod), kept.network, signal)).ips];
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

  async #start(
    container: ContainerOnNode,
    pinned: PinnedMounts,
    input: ProgramInput | undefined,
    signal: AbortSignal,
  ): Promise<RunningContainer> {
    const { dir, stacks, specs, runtime, cgroups, started, clock, discard } = this.#options;
    const { id, image, logPath, spec } = container;
    const pod = this.#pod;
    const record = this.#record;
    if (!pod || !record) throw new Error(`the sandbox of the pod ${this.podUid} is not there any more`);
    const ociId = ociIdOf(id);
    const place = records.placeOf(dir, id.container);
    const startedPath = join(started.dir, ociId);
    const hasTerminal = spec.tty === true;
    const cgroupsPath = cgroups.pathOf(pod, id);

    const joinedPath = this.#joinedBy(spec);
    const joined =
      joinedPath === undefined ? record : { ...record, namespaces: { ...record.namespaces, pid: joinedPath } };
    const ociSpec = await specs.of({ pod, container, place, cgroupsPath, sandbox: joined, podDir: dir });
    signal.throwIfAborted(); // From here to the spawn nothing waits.
    if (this.#isRemoved) throw new Error(`the sandbox of the pod ${this.podUid} is not there any more`);
    if (existsSync(place)) discard(place);
    mkdirSync(place, { mode: 0o700 });
    if (input) renameSync(input.path, inputPathOf(place));
    pinned.write();
    const overlay = prepareOverlay(place, stacks.of(image), image);
    writeFileSync(join(place, 'config.json'), JSON.stringify(ociSpec), { mode: 0o600 });
    started.forget(ociId);
    runtime.forget(ociId);
    mkdirSync(dirname(logPath), { recursive: true });
    const startedAtMs = clock.now();
    const hasInput = spec.stdin === true || hasTerminal;
    const written = {
      id,
      bootId: bootId(),
      logPath,
      startedAtMs,
      cgroupsPath,
      hasInput,
      hasTerminal,
      ...(joinedPath !== undefined && { joinsProcesses: true }),
    };
    records.writeContainerRecord(dir, written);
    const runtimeLog = join(place, 'runtime.log');
    const logBytes = statSync(logPath, { throwIfNoEntry: false })?.size ?? 0;
    const child = await launch({
      place,
      claimPath: pidPath(dir, id),
      startedPath,
      logPath,
      overlay,
      command: runtime.run({ id: ociId, bundle: place, startedPath, logPath: runtimeLog }),
      hasInput,
      inputFd: input?.fd,
      hasTerminal,
      copiesOutput: !runtime.makesPipes,
      mark: markOf(place),
    });
    const { pid = 0 } = child;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (await started.until(ociId, ended)) {
      return this.#follow(written, {
        monitor: { pid, startedAt: startOf(pid) ?? '' },
        child,
        heldInput: input?.heldFd,
      });
    }
    const failure = failureOf(place, child.exitCode);
    await cgroups.removeContainer(cgroupsPath);
    runtime.forget(ociId);
    started.forget(ociId);
    rmSync(records.containerRecordPath(dir, id.container), { force: true });
    // What the runtime says is the failure's message, not the program's output.
    if (existsSync(logPath)) truncateSync(logPath, logBytes);
    throw failure;
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

/** Why a program has not started, in the words that Kubernetes' users know. */
function failureOf(place: string, code: number | null): StartError {
  if (code === revokedCode) return new StartError('CreateContainerError', 'the start was revoked');
  if (code === unmountedCode) {
    const said = readText(join(place, 'mount.log')).trim();
    return new StartError('CreateContainerError', `failed to mount the container's root: ${said}`);
  }
  const said = errorIn(join(place, 'runtime.log')) ?? `the runtime ended with ${code ?? 'a signal'}`;
  // runc calls by its command what is always the same failure.
  const message = said.replace(/^runc run failed/, 'runc create failed');
  return new StartError('RunContainerError', `OCI runtime create failed: ${message}: unknown`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, 4096);
  } catch {
    return ''; // It has said nothing.
  }
}

function toAttach({ metadata, spec }: Pod) {
  const { uid = '', namespace = 'default', name } = metadata;
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const hostPorts = containers
    .flatMap(({ ports = [] }) => ports)
    .flatMap(({ hostIP, hostPort, containerPort, protocol = 'TCP' }) =>
      hostPort ? [{ hostIP, hostPort, containerPort, protocol: protocol as 'TCP' | 'UDP' | 'SCTP' }] : [],
    );
  return { uid, namespace, name, hostPorts };
}
