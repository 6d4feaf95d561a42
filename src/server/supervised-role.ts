import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backoffDelayMs } from '../lib/backoff.ts';
import { messageOf } from '../lib/errors.ts';
import type { Config, PortName } from './config.ts';
import type { LentSocket } from './lent-sockets.ts';
import { listSetAside, setAside } from './quarantine-files.ts';
import { recordRestart } from './restarts.ts';
import type { RoleName } from './roles.ts';
import {
  blame,
  crashFile,
  type Death,
  type FromRole,
  isOwnDoing,
  type RoleStart,
  type ToRole,
  workBoardFile,
} from './supervision.ts';
import { readWorkBoard } from './work-board.ts';

/** What the supervisor tells whoever started it. */
export type SupervisorEvent =
  | { type: 'restarting'; role: RoleName; exit: string; delayMs: number; logFile: string }
  | { type: 'set-aside'; role: RoleName; name: string; reason: string }
  | { type: 'stopped-by-force'; role: RoleName };

export interface RoleOptions {
  role: RoleName;
  config: Config;
  sockets: readonly { name: PortName; socket: LentSocket }[];
  onEvent(event: SupervisorEvent): void;
  /** Its process has changed. */
  onProcess(): void;
  /** The program that is forked; `role.ts` unless given. */
  program?: string;
  limits?: Partial<typeof limitsDefault>;
}

const restartBackoff = { firstMs: 100, maxMs: 5_000, factor: 2 };
/** A role that has lived this long starts its backoff anew. */
const healthyAfterMs = 10_000;
/** Ctrl-C promises an end within 2 s: what has not stopped by then is killed. */
const stopTimeoutMs = 1_700;
const underWayShown = 5;
const logBytesMax = 10 * 1024 * 1024;
const limitsDefault = {
  /** How often the role is looked after. */
  checkMs: 1_000,
  /** Hung after so many checks without a sign of life; counted, so that a machine's sleep counts for nothing. */
  silentChecksMax: 10,
  /** The same before it is ready: reading a large store takes its time. */
  silentChecksMaxAtStart: 60,
};

/** What Node is told of each role: left to itself it would let the young generation of a busy one grow to 64 MiB. */
export const roleFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'] as const;

/**
 * One role's process: forked, looked after, and started again with backoff when it ends or does not answer.
 *
 *     start ──▶ starting ──ready──▶ running ──exit, or no beat──▶ (blame) ──backoff──▶ start
 */
export class SupervisedRole {
  /** Settles with the first start: resolves when it is ready, rejects with why it cannot. */
  readonly firstReady: Promise<void>;
  readonly #options: RoleOptions;
  readonly #limits: typeof limitsDefault;
  readonly #check: NodeJS.Timeout;
  #child: ChildProcess | undefined;
  #suspects: string[] = [];
  /** What the role knows to be set aside. */
  #setAside: string[] = [];
  #isCareful = false;
  #attempt = 0;
  #silentChecks = 0;
  #isReady = false;
  #isStopping = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #settleFirst: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: RoleOptions) {
    this.#options = options;
    this.#limits = { ...limitsDefault, ...options.limits };
    this.firstReady = new Promise((resolve, reject) => {
      this.#settleFirst = { resolve, reject };
    });
    this.#check = setInterval(() => this.#lookAfter(), this.#limits.checkMs);
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Ends the role: `killed` when it could not end by itself, and what it ran may have outlived it. */
  stop(): Promise<'stopped' | 'killed'> {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    clearInterval(this.#check);
    const child = this.#child;
    if (!child) return Promise.resolve('killed'); // It has died, and its restart will not come.
    return new Promise((resolve) => {
      const force = setTimeout(() => {
        this.#options.onEvent({ type: 'stopped-by-force', role: this.#options.role });
        child.kill('SIGKILL');
      }, stopTimeoutMs);
      child.once('exit', (code) => {
        clearTimeout(force);
        resolve(code === 0 ? 'stopped' : 'killed');
      });
      child.kill('SIGTERM');
    });
  }

  #start(): void {
    const { role, config, sockets } = this.#options;
    const logFile = this.#logFile();
    boundLog(logFile);
    rmSync(crashFile(config.dataDir, role), { force: true });
    this.#setAside = this.#setAsideNow();
    const startedMs = performance.now();
    const child = this.#fork(logFile);
    if (child === undefined) return;
    this.#child = child;
    this.#silentChecks = 0;
    this.#isReady = false;
    let death: Death | undefined;
    child.on('message', (message: FromRole) => {
      this.#silentChecks = 0;
      if (message.type === 'failed') {
        death = { kind: 'failed', why: message.message };
        this.#settle()?.reject(new Error(message.message));
      } else if (message.type === 'ready') {
        this.#isReady = true;
        this.#settle()?.resolve();
      } else if (message.type === 'set aside') {
        this.#setAside = [...this.#setAside, message.name];
      }
    });
    // A channel that broke: `exit` or the missing beats tell the rest.
    child.on('error', (error) => this.#settle()?.reject(error));
    child.once('exit', (code, signal) => {
      this.#child = undefined;
      if (this.#isStopping) return;
      if (this.#silentChecks > this.#silentMax()) death = { kind: 'hung' };
      if (performance.now() - startedMs > healthyAfterMs) this.#attempt = 0;
      this.#onDeath(death ?? { kind: 'exit', code, signal });
    });
    for (const { name, socket } of sockets) child.send({ type: 'socket', port: name } satisfies ToRole, socket.handle);
    this.#tell({ type: 'start', setAside: this.#setAside, suspects: this.#suspects, isCareful: this.#isCareful });
    this.#options.onProcess();
  }

  /** Undefined when the system has no place for a process, or no file: then it is tried again. */
  #fork(logFile: string): ChildProcess | undefined {
    const { role, config, program } = this.#options;
    const start: RoleStart = { config };
    const logFd = openLog(logFile);
    try {
      const child = fork(program ?? fileURLToPath(new URL('./role.ts', import.meta.url)), [role], {
        env: { ...process.env, KITTIWAKE_ROLE: JSON.stringify(start) },
        execArgv: [...roleFlags],
        stdio: ['ignore', logFd, logFd, 'ipc'],
      });
      if (child.pid !== undefined) return child;
      child.once('error', (error) => this.#onDeath({ kind: 'unborn', why: messageOf(error) }));
    } catch (error) {
      this.#onDeath({ kind: 'unborn', why: messageOf(error) });
    } finally {
      if (logFd !== 'ignore') closeSync(logFd);
    }
    return undefined;
  }

  #onDeath(death: Death): void {
    const { role, config, onEvent } = this.#options;
    const logFile = this.#logFile();
    const exit = this.#inWords(death);
    this.#settle()?.reject(new Error(`the ${role} process ended (${exit}) before it was ready: see ${logFile}`));
    const blamed = this.#blame(death);
    const at = new Date().toISOString();
    let told = exit;
    try {
      recordRestart(config.dataDir, { role, at, why: exit, underWay: blamed.suspects.slice(0, underWayShown) });
      for (const name of blamed.setAside) {
        setAside(config.dataDir, { role, name, reason: exit, times: 2, since: at });
        onEvent({ type: 'set-aside', role, name, reason: exit });
      }
    } catch (error) {
      // The disk is full, say: the role is started all the same, and what is suspect stays so.
      this.#suspects = [...blamed.suspects, ...blamed.setAside];
      told = `${exit}; not recorded: ${messageOf(error)}`;
    }
    const delayMs = backoffDelayMs(restartBackoff, this.#attempt++);
    onEvent({ type: 'restarting', role, exit: told, delayMs, logFile });
    this.#restartTimer = setTimeout(() => this.#start(), delayMs);
    this.#options.onProcess();
  }

  #blame(death: Death): { suspects: string[]; setAside: string[] } {
    // Who has not lived has done nothing: what was suspect still is.
    if (death.kind === 'unborn') return { suspects: this.#suspects, setAside: [] };
    const { role, config } = this.#options;
    const blamed = blame(death, readWorkBoard(workBoardFile(config.dataDir, role)));
    this.#suspects = blamed.suspects;
    this.#isCareful = isOwnDoing(death);
    return blamed;
  }

  #inWords(death: Death): string {
    if (death.kind === 'unborn') return `its process could not be made: ${death.why}`;
    if (death.kind === 'hung') return `it did not answer for ${(this.#silentMax() * this.#limits.checkMs) / 1000} s`;
    if (death.kind === 'failed') return death.why;
    const how = death.signal === null ? `exit code ${death.code}` : `signal ${death.signal}`;
    const last = lastError(crashFile(this.#options.config.dataDir, this.#options.role));
    return last === undefined ? how : `${how}: ${last}`;
  }

  /** Ends a process that does not answer, keeps its log within bounds, and passes on what was released. */
  #lookAfter(): void {
    const child = this.#child;
    if (!child || this.#isStopping) return;
    boundLog(this.#logFile());
    if (++this.#silentChecks > this.#silentMax()) child.kill('SIGKILL');
    const now = this.#setAsideNow();
    if (now.join('\n') === this.#setAside.join('\n')) return;
    this.#setAside = now;
    this.#tell({ type: 'quarantine', setAside: now });
  }

  #silentMax(): number {
    return this.#isReady ? this.#limits.silentChecksMax : this.#limits.silentChecksMaxAtStart;
  }

  #setAsideNow(): string[] {
    const { config, role } = this.#options;
    return listSetAside(config.dataDir, role).map((entry) => entry.name);
  }

  #tell(message: ToRole): void {
    // The callback takes the error of a channel that broke meanwhile: the process is ending, and `exit` tells.
    if (this.#child?.connected) this.#child.send(message, () => {});
  }

  /** The outcome of the first start is settled once; later starts have none. */
  #settle() {
    const settle = this.#settleFirst;
    this.#settleFirst = undefined;
    return settle;
  }

  #logFile(): string {
    return join(this.#options.config.dataDir, 'logs', `${this.#options.role}.log`);
  }
}

/** The first line of what ended the process, when it could say so. */
function lastError(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').split('\n', 1)[0]?.slice(0, 500) || undefined;
  } catch {
    return undefined; // It left none.
  }
}

/** A role without a log is better than none. */
function openLog(file: string): number | 'ignore' {
  try {
    mkdirSync(dirname(file), { recursive: true });
    return openSync(file, 'a', 0o600);
  } catch {
    return 'ignore'; // The disk is full, say, or the folder not ours: what the role does on it tells.
  }
}

/** Keeps a role's log and the one before it: the role appends, so its file can be copied and emptied under it. */
function boundLog(file: string): void {
  const sizeBytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeBytes <= logBytesMax) return;
  try {
    copyFileSync(file, `${file}.1`);
    truncateSync(file);
  } catch {
    rmSync(`${file}.1`, { recursive: true, force: true }); // The disk is full, say: half a copy would keep it so.
  }
}
