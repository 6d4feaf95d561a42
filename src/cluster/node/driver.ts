import type { Duplex, Readable, Writable } from 'node:stream';
import type { Pod } from '../../api/core/pod.ts';
import type { Container } from '../../api/core/pod-spec.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../observe/log.ts';
import type { PodNetwork } from '../network/index.ts';
import type { Image } from './images/image.ts';

/**
 * How pods become running code. The process driver implements it with process groups; runc, or a microVM, could. What
 * Kubernetes says about pods (restarts, probes, volumes, status) is above this line, not in a driver.
 *
 *     agent ──sandbox(pod), recover()──▶ Driver ──▶ Sandbox: addresses, forward, drained, remove
 *                                                     └─start──▶ RunningContainer: exited, signal, exec, attach, stats
 *
 * testing/driver-contract.ts says in tests what each must do.
 */
export interface Driver {
  /** For the node's `containerRuntimeVersion`, for example `process`. */
  readonly name: string;
  /** Gets ready, in the background, what the next start from `image` needs. */
  prepare(image: Image): void;
  /** Frees what `prepare` made for images other than these (by digest). */
  keepPrepared(digests: ReadonlySet<string>): Promise<void>;
  /**
   * The pod's sandbox: a pod has one, until that is removed. One that was found again keeps its addresses while a
   * container runs in it. Rejects when it cannot be made, or `signal` has aborted, and leaves no new one then.
   */
  sandbox(pod: Pod, signal: AbortSignal, request?: SandboxRequest): Promise<Sandbox>;
  /** Whether it has made, or found, a sandbox of this pod that is not removed yet. */
  has(podUid: string): boolean;
  /** What is left of the time before the agent's start, with what still runs in it. Call it once, first. */
  recover(): Promise<Sandbox[]>;
  /**
   * Ends background work. Running containers stay; with `leavesNothing` not even what sandboxes have of the machine
   * does, such as their networks: then nothing may run any more.
   */
  close(options?: { leavesNothing: boolean }): Promise<void>;
}

/** What a driver may have to know of a pod beyond its own words, to choose how it runs. */
export interface SandboxRequest {
  /** What the pod's RuntimeClass names. Rejects when there is no such class. */
  handler(): Promise<string | undefined>;
  /** The labels of its images; undefined for one that is not known yet. Never rejects. */
  imageLabels(): Promise<readonly (Readonly<Record<string, string>> | undefined)[]>;
}

export interface DriverOptions {
  /** The node's folder. */
  dataDir: string;
  /** Of the machine's addresses, the one of this node. */
  address: string;
  clock: Clock;
  log: Logger;
  /** Of pods that have an address of their own; undefined where there are none. */
  network?: PodNetwork | undefined;
}

/** A way to run pods: a folder under drivers/, and a line in choose.ts. */
export interface DriverKind {
  open(options: DriverOptions): Driver;
  /** How pods run, in a few words: for `doctor` and `up`. */
  summary: string;
  /** Why there is no better way, and what to do about it; undefined when this is it. */
  lack: { what: string; remedy: string } | undefined;
  /** What a pod could expect of Kubernetes and does not get from this driver, a sentence each: for `doctor`. */
  missingIsolation: readonly string[];
}

/** A pod's share of the machine: its addresses, its network, and the containers in it. */
export interface Sandbox {
  readonly podUid: string;
  readonly addresses: PodAddresses;
  /** Its containers find this platform's runtimes: of our own images they need no base. */
  readonly bringsRuntimes: boolean;
  /** Those that run now; at first the ones that were found again. */
  readonly containers: readonly RunningContainer[];
  /**
   * Starts a container; the caller makes sure that no earlier start of it runs. Nothing is started once `signal` has
   * aborted. Throws StartError.
   */
  start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer>;
  /**
   * Gets a start ready, all but the program, which waits: `start` of the same container lets it go, if by then nothing
   * of it has changed, and else makes it anew. False where it cannot be; undefined of a driver that never can.
   * Throws StartError. What an agent leaves of it has never run, and is gone for the next.
   */
  hold?(container: ContainerOnNode, signal: AbortSignal): Promise<boolean>;
  /** What this container asks for and does not get, a sentence each: for the pod's events. */
  notesOn(container: Container): string[];
  /**
   * A folder in memory for one of the pod's volumes, of at most `sizeBytes`, that anybody may write to; the same one
   * when it is there already, until the sandbox is removed. Undefined of a driver that has no such folders.
   */
  memoryVolume?(name: string, sizeBytes: number | undefined): Promise<string>;
  /** How a start ended that no agent was there to see; undefined when nobody knows. */
  exitOf(id: ContainerId): ContainerExit | undefined;
  /** Connects to a port of one of its containers. Errors: POD_PORT_UNKNOWN, and those of the connection. */
  forward(port: number): Promise<Duplex>;
  /** Resolves when no connection to the pod is open, or when `signal` aborts. Never rejects. */
  drained(signal: AbortSignal): Promise<void>;
  /** Ends whatever may be left in it and frees what it has; again when it failed, or is gone already. */
  remove(): Promise<void>;
}

export interface PodAddresses {
  /** The pod's own; the first is what `status.podIP` says. */
  ips: readonly [string, ...string[]];
  ports: PortMap;
}

/** A container's port → the one of the pod's address that stands for it; empty where each is its own. */
export type PortMap = Readonly<Record<number, number>>;

/** Where a container's port is reached. */
export const portAt = ({ ports }: PodAddresses, containerPort: number): number => ports[containerPort] ?? containerPort;

/** One start of one container of one pod. */
export interface ContainerId {
  podUid: string;
  container: string;
  /** 0 for the first start. */
  restart: number;
}

export interface ContainerOnNode {
  id: ContainerId;
  /** As the API has it; its pod is that of the sandbox. */
  spec: Container;
  image: Image;
  /** The program and its arguments; at least one. */
  argv: readonly string[];
  /** A path within the image's root. */
  workingDir: string;
  /** Exactly what the pod and the image say; the driver adds what it cannot do without. */
  environment: Readonly<Record<string, string>>;
  mounts: readonly Mount[];
  /** Standard output and error are appended to this file. */
  logPath: string;
}

export interface Mount {
  /** A folder or file of the host. */
  source: string;
  /** The folder of the node's that it is in, where what leads from there to `source` may be changed by containers. */
  within?: string;
  /** Where it appears within the container's root. */
  path: string;
  isReadOnly: boolean;
}

export interface RunningContainer {
  readonly id: ContainerId;
  readonly logPath: string;
  readonly startedAtMs: number;
  /** The folder of the machine in which is what it writes beside its volumes, where it has one to itself. */
  readonly writablePath?: string;
  /** Resolves when the container's program has ended and nothing of it is left. Never rejects. */
  readonly exited: Promise<ContainerExit>;
  /** Sends a signal, by name or number, to all processes of the container; nothing when it has ended. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | number): void;
  /**
   * Runs a command beside the container's program; when `signal` aborts it is ended, and its streams with it. Rejects
   * when it cannot be run. Errors: STREAM_UNSUPPORTED.
   */
  exec(command: readonly string[], wanted: StreamsWanted, signal: AbortSignal): Promise<Streams>;
  /** The streams of the container's own program, from now on until `signal` aborts. Errors: STREAM_UNSUPPORTED. */
  attach(wanted: StreamsWanted, signal: AbortSignal): Promise<Streams>;
  /** What it uses now; undefined where the system does not say, or when it has ended. Never rejects. */
  stats(): Promise<ContainerStats | undefined>;
}

/** What a container uses of the machine; for `kubectl top` and limits. */
export interface ContainerStats {
  /** Of all its processes since the container's start. */
  cpuUsageNs: number;
  /** With page cache. */
  memoryUsageBytes: number;
  /** Without what the kernel could free at once: what counts for eviction, and what `kubectl top` shows. */
  memoryWorkingSetBytes: number;
  pids: number;
}

export interface StreamsWanted {
  hasStdin: boolean;
  /** With a terminal, whose size can be changed; its only output is `stdout`. */
  hasTerminal: boolean;
}

/** What goes into a program and comes out of it. Whoever asked for them reads them, or the program waits. */
export interface Streams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  /** There when a terminal was asked for. */
  resize?(size: { columns: number; rows: number }): void;
  /** The program's exit code, 128 + the signal's number when one ended it. Output may still follow. Never rejects. */
  readonly exited: Promise<number>;
}

export interface ContainerExit {
  /** 128 + the signal's number when a signal ended it. 137 when nobody saw how it ended (`isUnknown`). */
  exitCode: number;
  signal?: number;
  /** The program ended while no agent was there to see it. */
  isUnknown: boolean;
  /** The kernel has killed it because it had used up its memory: `OOMKilled`. */
  isOutOfMemory?: boolean;
  finishedAtMs: number;
}

/**
 * A container that could not be started: `reason` is what Kubernetes shows as the waiting reason. RunContainerError:
 * all was there but the program, which could not be run. That counts as a run that ended with `exitCode`.
 */
export class StartError extends Error {
  readonly reason: 'CreateContainerError' | 'CreateContainerConfigError' | 'RunContainerError';
  readonly exitCode = 128;

  constructor(reason: StartError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.reason = reason;
  }
}
