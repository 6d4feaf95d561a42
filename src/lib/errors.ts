/** Who must act: the user corrects the input, the system's operator looks after the machine, a peer answered badly. */
export type Fault = 'user' | 'system' | 'peer';

interface Entry {
  /** The HTTP status with which the error leaves the platform. */
  status: number;
  fault: Fault;
  message: (p: Record<string, string | number>) => string;
}

/**
 * The one catalogue of errors. A message says what was wrong, with the value, where, and what to do.
 * Every code is explained in docs/reference/errors.md (a house test checks it).
 */
const catalogue = {
  PORT_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `port ${p.port} for the ${p.role} is in use: stop what listens there, or choose another with ${p.flag}`,
  },
  DATA_DIR_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the data folder ${p.dataDir} is in use by process ${p.pid}: ` +
      `stop it with 'kittiwake down', or choose another with --data-dir`,
  },
  DATA_DIR_FOREIGN: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the folder ${p.dataDir} holds what is not kittiwake's (${p.name}): ` +
      `name a new or an empty folder with --data-dir`,
  },
  DATA_DIR_LOCKED: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the data folder ${p.dataDir} is locked, but by no platform: end the program that has ${p.lockFile} open ` +
      `('fuser' and 'lsof' name it), or choose another with --data-dir`,
  },
  DATA_DIR_TOO_NEW: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the data folder ${p.dataDir} has format ${p.found}, this version reads up to ${p.known}: ` +
      `upgrade kittiwake, or choose another with --data-dir`,
  },
  DISK_FULL: {
    status: 507,
    fault: 'system',
    message: (p) => `the disk that holds ${p.path} is full: nothing was written; free space and try again`,
  },
  STORE_IN_USE: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the store ${p.file} is in use by another process: stop it with 'kittiwake down', or choose another folder`,
  },
  STORE_FAILED: {
    status: 500,
    fault: 'system',
    message: (p) => `the store ${p.file} could not be read or written: ${p.why}`,
  },
  STORE_BUSY: {
    status: 429,
    fault: 'system',
    message: (p) => `${p.waiting} writes wait for the disk: try again in a second`,
  },
  STORE_FULL: {
    status: 507,
    fault: 'user',
    message: (p) =>
      `the cluster's objects take ${p.heldBytes} bytes of memory, their limit is ${p.limitBytes}: ` +
      'nothing can be added until some are deleted',
  },
  OBJECT_TOO_LARGE: {
    status: 413,
    fault: 'user',
    message: (p) =>
      `the object would take ${p.sizeBytes} bytes, its limit is ${p.limitBytes}: keep large data elsewhere and name it`,
  },
  EVENT_INVALID: {
    status: 400,
    fault: 'user',
    message: (p) => `not a valid CloudEvent: ${p.why}`,
  },
  EVENT_MODE_UNSUPPORTED: {
    status: 415,
    fault: 'user',
    message: (p) =>
      `content type ${p.contentType} is not supported: ` +
      `send one event a request, in binary mode or as application/cloudevents+json`,
  },
  EVENT_TOO_LARGE: {
    status: 413,
    fault: 'user',
    message: (p) => `the event is larger than ${p.limitBytes} bytes: send less, or a link to the data`,
  },
  BROKER_NOT_FOUND: {
    status: 404,
    fault: 'user',
    message: (p) =>
      `there is no broker "${p.name}" in namespace "${p.namespace}": 'kittiwake get brokers -A' lists them`,
  },
  REQUEST_SET_ASIDE: {
    status: 503,
    fault: 'system',
    message: (p) =>
      `requests like this one are set aside, because one ended the gateway twice: ` +
      `give them back with: ${p.command}`,
  },
  BROKER_NOT_READY: {
    status: 503,
    fault: 'system',
    message: (p) => `broker ${p.broker} does not accept events yet: ${p.why}`,
  },
  BROKER_BUSY: {
    status: 503,
    fault: 'system',
    message: (p) => `the broker holds ${p.heldBytes} bytes that are not on disk yet: try again`,
  },
  EVENT_LOG_FULL: {
    status: 503,
    fault: 'system',
    message: (p) =>
      `the log of broker ${p.broker} holds ${p.heldBytes} bytes, its limit is ${p.limitBytes}: ` +
      `its triggers are behind (${p.slowest}); nothing was accepted, try again`,
  },
  EVENT_LOG_FAILED: {
    status: 503,
    fault: 'system',
    message: (p) =>
      `the event log ${p.path} could not be read or written: ${p.why}; ` +
      `if the file is damaged, put a copy back, or move it away to begin with an empty log`,
  },
  EVENT_LOG_TOO_NEW: {
    status: 500,
    fault: 'user',
    message: (p) =>
      `the event log ${p.path} has format ${p.found}, this version reads up to ${p.known}: upgrade kittiwake`,
  },
  EVENT_LOG_IN_USE: {
    status: 500,
    fault: 'system',
    message: (p) => `the event log ${p.path} is in use by another process: stop the other broker`,
  },
  CROSS_SITE: {
    status: 403,
    fault: 'user',
    message: (p) =>
      `refused: a browser sent this for a web page of ${p.origin}, which is another site than ${p.host}: ` +
      `send it from a program, or from a page of the same host and port`,
  },
  STREAM_UNSUPPORTED: {
    status: 501,
    fault: 'user',
    message: (p) => `the ${p.driver} driver of this node cannot ${p.what}`,
  },
  POD_PORT_UNKNOWN: {
    status: 404,
    fault: 'user',
    message: (p) => `no container of the pod ${p.pod} has the port ${p.port}: name it in one's ports`,
  },
  API_UNREACHABLE: {
    status: 503,
    fault: 'system',
    message: (p) =>
      `the API server at ${p.server} does not answer (${p.reason}): is it running? 'kittiwake up' starts it`,
  },
} satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof catalogue;
export const errorCodes = Object.keys(catalogue) as ErrorCode[];

/** An error of the catalogue: `code` is stable and documented, `status` is for HTTP, `fault` says who must act. */
export class KittiwakeError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly fault: Fault;

  constructor(code: ErrorCode, parameters: Record<string, string | number>, options?: ErrorOptions) {
    const entry: Entry = catalogue[code];
    super(entry.message(parameters), options);
    this.name = 'KittiwakeError';
    this.code = code;
    this.status = entry.status;
    this.fault = entry.fault;
  }
}

/** A failed assertion is a programmer's error: it crashes the role, which its parent restarts. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}

/** Whether the system or SQLite says, be it in another's words, that a disk or a quota is full. */
export function isDiskFull(error: unknown): boolean {
  return /\bENOSPC\b|\bEDQUOT\b|database or disk is full/.test(`${codeOf(error)} ${messageOf(error)}`);
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code ?? '';

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
