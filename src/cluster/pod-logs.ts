import type { Pod } from '../api/core/pod.ts';

/** Which part of a container's log is wanted (the query of a Pod's `log` subresource). */
export interface LogOptions {
  /** One that the pod has. */
  container: string;
  /** Goes on with what is written until the container ends, or `signal` aborts. */
  follow?: boolean | undefined;
  /** The container's last run before this one. */
  previous?: boolean | undefined;
  tailLines?: number | undefined;
  sinceSeconds?: number | undefined;
  /** RFC 3339. */
  sinceTime?: string | undefined;
  /** Each line starts with the time at which it was written. */
  timestamps?: boolean | undefined;
  limitBytes?: number | undefined;
  signal: AbortSignal;
}

/** Where the API server reads the logs of pods: the node agent. Failures are ApiError. */
export interface PodLogs {
  /** Whole lines, as they come. */
  read(pod: Pod, options: LogOptions): AsyncIterable<Buffer>;
}
