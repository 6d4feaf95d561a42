import type { Container } from '../../api/core/pod-spec.ts';
import type { Image } from './images/image.ts';

/**
 * How a container becomes running code. The process driver implements it with process groups; runc, or a microVM,
 * could. What Kubernetes says about pods (restarts, probes, status) is above this line, not in a driver.
 */
export interface Driver {
  /** For the node's `containerRuntimeVersion`, for example `process`. */
  readonly name: string;
  /** `host`: pods share the host's addresses, so each containerPort is mapped to a free port of the host. */
  readonly network: 'host' | 'pod';
  /** What a pod could expect of Kubernetes and does not get from this driver, a sentence each: for `doctor`. */
  readonly missingIsolation: readonly string[];
  /** What this container asks for and does not get, a sentence each: for the pod's events. */
  notesOn(container: Container): string[];
  /** Gets ready, in the background, what the next start from `image` needs. */
  prepare(image: Image): void;
  /**
   * Starts a container; the caller makes sure that no earlier start of it runs. Nothing is started once `signal` has
   * aborted. Throws StartError.
   */
  start(container: ContainerOnNode, signal: AbortSignal): Promise<RunningContainer>;
  /** What still runs after the agent died; what was half started is here or will never run. Call it once, first. */
  recover(): Promise<RunningContainer[]>;
  /** Ends whatever may be left of a pod that has stopped and frees what it kept on disk. */
  removePod(podUid: string): Promise<void>;
  /** The uids of pods that have something on disk. */
  podsOnDisk(): Promise<string[]>;
  /** Frees what `prepare` made for images other than these (by digest). */
  keepPrepared(digests: ReadonlySet<string>): Promise<void>;
  /** Ends background work; running containers stay. */
  close(): Promise<void>;
}

/** One start of one container of one pod. */
export interface ContainerId {
  podUid: string;
  container: string;
  /** 0 for the first start. */
  restart: number;
}

/** A container's port → the port of the host that stands for it; empty where pods have addresses of their own. */
export type PortMap = Readonly<Record<number, number>>;

export interface ContainerOnNode {
  id: ContainerId;
  image: Image;
  /** The program and its arguments; at least one. */
  argv: readonly string[];
  /** A path within the image's root. */
  workingDir: string;
  /** Exactly what the pod and the image say; the driver adds what it cannot do without. */
  environment: Readonly<Record<string, string>>;
  mounts: readonly Mount[];
  ports: PortMap;
  /** Standard output and error are appended to this file. */
  logPath: string;
}

export interface Mount {
  /** A folder or file of the host. */
  source: string;
  /** Where it appears within the container's root. */
  path: string;
  isReadOnly: boolean;
}

export interface RunningContainer {
  readonly id: ContainerId;
  readonly ports: PortMap;
  readonly logPath: string;
  readonly startedAtMs: number;
  /** Resolves when the container's program has ended and nothing of it is left. Never rejects. */
  readonly exited: Promise<ContainerExit>;
  /** Sends a signal, by name or number, to all processes of the container; nothing when it has ended. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | number): void;
  /**
   * Runs a command beside the container's program. It is killed after `timeoutMs` or when `signal` aborts, which counts
   * as exit code 124. Never rejects: what cannot be run has exit code 127, and the output says why.
   */
  exec(
    command: readonly string[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<{ exitCode: number; output: string }>;
}

export interface ContainerExit {
  /** 128 + the signal's number when a signal ended it. 137 when nobody saw how it ended (`isUnknown`). */
  exitCode: number;
  signal?: number;
  /** The program ended while no agent was there to see it. */
  isUnknown: boolean;
  finishedAtMs: number;
}

/** A container that could not be started: `reason` is what Kubernetes shows as the waiting reason. */
export class StartError extends Error {
  readonly reason: 'CreateContainerError' | 'CreateContainerConfigError' | 'RunContainerError';

  constructor(reason: StartError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartError';
    this.reason = reason;
  }
}
