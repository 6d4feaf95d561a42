/** Who must act: the user corrects the input, the system's operator looks after the machine, a peer answered badly. */
export type Fault = 'user' | 'system' | 'peer';

interface Entry<P extends unknown[]> {
  /** The HTTP status with which the error leaves the platform. */
  status: number;
  fault: Fault;
  /** Says what was wrong, with the value, where, and what to do. */
  message: (...parameters: P) => string;
}

// biome-ignore lint/suspicious/noExplicitAny: nothing else stands for "whatever parameters its message has"
type Entries = Record<string, Entry<any>>;

/** By code, a function that makes the error from the parameters of its message. */
type Errors<E extends Entries> = {
  [Code in keyof E]: (...parameters: [...Parameters<E[Code]['message']>, options?: ErrorOptions]) => KittiwakeError;
};

/**
 * A domain's part of the catalogue, in its folder's errors.ts. Each code is explained in docs/reference/errors.md (a
 * house test checks it).
 */
export function defineErrors<E extends Entries>(entries: E): Errors<E> {
  const makers = Object.entries(entries).map(([code, { status, fault, message }]) => {
    const make = (parameters: unknown, options?: ErrorOptions) =>
      new KittiwakeError({ code, status, fault }, message(parameters), options);
    return [code, make];
  });
  return Object.fromEntries(makers);
}

/** An error of the catalogue: `code` is stable and documented, `status` is for HTTP, `fault` says who must act. */
export class KittiwakeError extends Error {
  readonly code: string;
  readonly status: number;
  readonly fault: Fault;

  /** For `defineErrors`. */
  constructor(kind: { code: string; status: number; fault: Fault }, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KittiwakeError';
    this.code = kind.code;
    this.status = kind.status;
    this.fault = kind.fault;
  }
}

/** What any part of the platform may run into. */
export const commonErrors = defineErrors({
  DISK_FULL: {
    status: 507,
    fault: 'system',
    message: (p: { path: string }) =>
      `the disk that holds ${p.path} is full: nothing was written; free space and try again`,
  },
  CROSS_SITE: {
    status: 403,
    fault: 'user',
    message: (p: { origin: string; host: string }) =>
      `refused: a browser sent this for a web page of ${p.origin}, which is another site than ${p.host}: ` +
      `send it from a program, or from a page of the same host and port`,
  },
});

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
