import type { Duplex } from 'node:stream';
import type { Pod } from '../api/core/pod.ts';
import type { Streams, StreamsWanted } from './node/driver.ts';

export type { Streams, StreamsWanted };

/**
 * Where the API server gets at what runs in a pod (its subresources `exec`, `attach`, `portforward`): the node agent.
 * Failures are ApiError, those of the driver, or those of the connection; their messages are shown to the client.
 */
export interface PodStreams {
  /** Runs a command in a container, until it ends or `signal` aborts. */
  exec(pod: Pod, wanted: ExecWanted, signal: AbortSignal): Promise<Streams>;
  /** The streams of a container's own program, until it ends or `signal` aborts. */
  attach(pod: Pod, wanted: AttachWanted, signal: AbortSignal): Promise<Streams>;
  /** A connection to a port of the pod. */
  forward(pod: Pod, port: number): Promise<Duplex>;
}

export interface AttachWanted extends StreamsWanted {
  /** One that the pod has. */
  container: string;
}

export interface ExecWanted extends AttachWanted {
  command: readonly string[];
}
