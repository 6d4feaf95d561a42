import { writeSync } from 'node:fs';
import { pino } from 'pino';

/** Structured log lines, JSON, one a line: `log.info({ pod: 'a' }, 'pod started')`. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: object): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Logs of one role to standard error. Errors are logged under the key `err`, with their stack. */
export function createLogger(role: string, level: LogLevel = 'info', heldBytesMax = 64 * 1024): Logger {
  const onRecovery = (lost: number) =>
    logger.warn({ lost }, 'lines are missing before this one: the log could not be written');
  const options = { level, base: { role }, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino(options, new StandardError(heldBytesMax, onRecovery));
  return logger;
}

const nothing = Buffer.alloc(0);

/**
 * Standard error as a destination that never ends the process (pino's own throws what a full disk says): what cannot be
 * written waits for the next line, up to a bound; what goes beyond it is lost, and counted.
 */
class StandardError {
  readonly #heldBytesMax: number;
  readonly #onRecovery: (lost: number) => void;
  #held: Buffer = nothing;
  #lost = 0;

  constructor(heldBytesMax: number, onRecovery: (lost: number) => void) {
    this.#heldBytesMax = heldBytesMax;
    this.#onRecovery = onRecovery;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#held.length === 0) this.#held = bytes;
    else if (this.#held.length + bytes.length <= this.#heldBytesMax) this.#held = Buffer.concat([this.#held, bytes]);
    else this.#lost++;
    try {
      while (this.#held.length > 0) this.#held = this.#held.subarray(writeSync(2, this.#held));
    } catch {
      return; // There is nowhere to log it: the disk's own users report it.
    }
    this.#held = nothing;
    const lost = this.#lost;
    this.#lost = 0;
    if (lost > 0) this.#onRecovery(lost);
  }
}

/** For tests and short commands that have nothing to say. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
