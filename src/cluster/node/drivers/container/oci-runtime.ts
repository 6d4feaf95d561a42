import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../../lib/system-programs.ts';

/** OCI runtimes that do, the first that is there. */
const known = ['runc', 'crun', 'youki'] as const;

/** The first OCI runtime that this machine has; undefined when it has none. */
export function findRuntime(): string | undefined {
  for (const name of known) {
    const path = findProgram(name);
    if (path !== undefined) return path;
  }
  return undefined;
}

export interface OciRuntimeOptions {
  /** The program. */
  path: string;
  /** Where it keeps what it knows of containers; of one node, and one run of the machine. */
  stateDir: string;
}

/** How the OCI runtime is called: runc, or one that takes its options. */
export class OciRuntime {
  readonly path: string;
  /** What a program prints comes through a pipe that the runtime makes; else its files are the program's own. */
  readonly makesPipes: boolean;
  readonly #stateDir: string;
  readonly #canKeep: boolean;

  constructor({ path, stateDir }: OciRuntimeOptions) {
    this.path = path;
    this.#stateDir = stateDir;
    // Without it a container's group is gone before anybody could ask whether its memory was used up (cgroup v1).
    this.#canKeep = path.endsWith('/runc');
    this.makesPipes = path.endsWith('/runc');
  }

  /** Runs the container in the foreground of whoever calls it. */
  run({ id, bundle, startedPath, logPath }: { id: string; bundle: string; startedPath: string; logPath: string }) {
    const keep = this.#canKeep ? ['--keep'] : [];
    return [...this.#global(logPath), 'run', ...keep, '--bundle', bundle, '--pid-file', startedPath, id];
  }

  /** Runs a command in a container, with all that its program was given. */
  exec(options: {
    id: string;
    command: readonly string[];
    startedPath: string;
    logPath: string;
    hasTerminal: boolean;
  }) {
    const { id, command, startedPath, logPath, hasTerminal } = options;
    const terminal = hasTerminal ? ['--tty', '--env', 'TERM=xterm'] : [];
    return [...this.#global(logPath), 'exec', ...terminal, '--pid-file', startedPath, id, ...command];
  }

  /** Forgets a container of which nothing runs any more. */
  forget(id: string): void {
    rmSync(join(this.#stateDir, id), { recursive: true, force: true });
  }

  #global(logPath: string): string[] {
    return [this.path, '--root', this.#stateDir, '--log', logPath, '--log-format', 'json'];
  }
}

/** The last error in a runtime's log, as it says it; undefined when it says none. */
export function errorIn(logPath: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(logPath, 'utf8');
  } catch {
    return undefined; // It wrote none.
  }
  const lines = text.trim().split('\n').reverse();
  for (const line of lines) {
    try {
      const { level, msg } = JSON.parse(line);
      if (typeof msg === 'string' && (level === 'error' || level === 'fatal')) return msg;
    } catch {
      // Not a line of the log.
    }
  }
  return undefined;
}
