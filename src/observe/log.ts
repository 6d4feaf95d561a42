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
export function createLogger(role: string, level: LogLevel = 'info'): Logger {
  const options = { level, base: { role }, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pino.destination({ dest: 2, sync: true }));
}

/** For tests and short commands that have nothing to say. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
