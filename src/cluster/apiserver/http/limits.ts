/** What clients may take of the server: in time, in number and in bytes. */
export interface Limits {
  /** A TLS handshake takes no longer. */
  handshakeMs: number;
  /** The headers of a request take no longer to come. */
  headersMs: number;
  /** A request and its answer take no longer, but for watches and logs that are followed (as in Kubernetes). */
  requestMs: number;
  /** A watch whose client has not taken what was sent to it for so long is ended. */
  stalledMs: number;
  /** A connection without a request is closed. client-go keeps idle ones for 90 s: the server must not be first. */
  idleMs: number;
  connectionsMax: number;
  /** Requests that are being answered, of all clients. */
  requestsMax: number;
  /** Watches and logs that are followed. */
  longRunningMax: number;
  /** Requests that wait for an earlier one on their HTTP/1.1 connection. */
  pipelinedMax: number;
  /** What all requests' bodies together may hold. */
  bodyBytesMax: number;
}

export const defaultLimits: Limits = {
  handshakeMs: 10_000,
  headersMs: 30_000,
  requestMs: 60_000,
  stalledMs: 60_000,
  idleMs: 120_000,
  connectionsMax: 1000,
  requestsMax: 400,
  longRunningMax: 4000,
  pipelinedMax: 100,
  bodyBytesMax: 64 * 1024 * 1024,
};
