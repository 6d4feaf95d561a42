import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, copyFileSync, openSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { backoffDelayMs } from '../lib/backoff.ts';
import { type Addresses, removeAddresses, writeAddresses } from './addresses.ts';
import type { Config } from './config.ts';
import { openDataDir } from './data-dir.ts';
import { resolvePorts } from './ports.ts';
import type { RoleMessage, RoleName } from './role.ts';

/** What the supervisor tells whoever started it. */
export type SupervisorEvent =
  | { type: 'restarting'; role: RoleName; exit: string; delayMs: number; logFile: string }
  | { type: 'stopped-by-force'; role: RoleName };

export interface Platform {
  addresses: Addresses;
  /** Milliseconds from the call until API server, gateway and broker answered. */
  readyMs: number;
  /** Stops all roles and the pods they run; resolves when no process is left. */
  stop(): Promise<void>;
}

const roles: readonly RoleName[] = ['control', 'gateway', 'broker'];
const restartBackoff = { firstMs: 100, maxMs: 5_000, factor: 2 };
/** A role that has lived this long starts its backoff anew. */
const healthyAfterMs = 10_000;
/** Ctrl-C promises an end within 2 s: what has not stopped by then is killed. */
const stopTimeoutMs = 1_700;
const logBytesMax = 10 * 1024 * 1024;
const logCheckMs = 60_000;

/**
 * Runs the whole platform on one machine: each role a process of its own, restarted when it dies. The roles stop by
 * themselves when this process does (their IPC channel closes). Throws PORT_IN_USE, DATA_DIR_IN_USE, DATA_DIR_TOO_NEW,
 * or what a role says that cannot start.
 */
export async function startPlatform(config: Config, onEvent: (event: SupervisorEvent) => void): Promise<Platform> {
  const startedMs = performance.now();
  const dataDir = openDataDir(config.dataDir);
  try {
    const ports = await resolvePorts(config.ports);
    const concrete = { ...config, ports };
    const running = roles.map((role) => new SupervisedRole(role, concrete, onEvent));
    const stopRoles = async () => {
      removeAddresses(config.dataDir);
      const ended = await Promise.all(running.map((role) => role.stop()));
      if (ended.includes('killed')) await (await import('./left-pods.ts')).endLeftPods(config.dataDir);
    };
    try {
      await Promise.all(running.map((role) => role.firstReady));
    } catch (error) {
      await stopRoles();
      throw error;
    }
    const addresses = addressesOf(concrete);
    writeAddresses(config.dataDir, addresses);
    const stop = () => stopRoles().finally(() => dataDir.release());
    return { addresses, readyMs: performance.now() - startedMs, stop };
  } catch (error) {
    dataDir.release();
    throw error;
  }
}

function addressesOf({ dataDir, ports, domain }: Config): Addresses {
  const local = (port: number) => `http://127.0.0.1:${port}`;
  return {
    pid: process.pid,
    gatewayUrl: local(ports.gateway),
    apiUrl: `https://127.0.0.1:${ports.api}`,
    brokerUrl: local(ports.broker),
    registryUrl: local(ports.registry),
    kubeconfig: join(dataDir, 'kubeconfig'),
    domain,
    metricsUrls: {
      control: `${local(ports.controlMetrics)}/metrics`,
      gateway: `${local(ports.gatewayMetrics)}/metrics`,
      broker: `${local(ports.brokerMetrics)}/metrics`,
    },
  };
}

class SupervisedRole {
  readonly firstReady: Promise<void>;
  readonly #role: RoleName;
  readonly #config: Config;
  readonly #onEvent: (event: SupervisorEvent) => void;
  #child: ChildProcess | undefined;
  #attempt = 0;
  #isStopping = false;
  #restartTimer: NodeJS.Timeout | undefined;
  readonly #logTimer: NodeJS.Timeout;
  #settleFirst: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(role: RoleName, config: Config, onEvent: (event: SupervisorEvent) => void) {
    this.#role = role;
    this.#config = config;
    this.#onEvent = onEvent;
    this.firstReady = new Promise((resolve, reject) => {
      this.#settleFirst = { resolve, reject };
    });
    this.#logTimer = setInterval(() => boundLog(this.#logFile()), logCheckMs);
    this.#start();
  }

  #start(): void {
    const logFile = this.#logFile();
    boundLog(logFile);
    const logFd = openSync(logFile, 'a', 0o600);
    const startedMs = performance.now();
    const child = fork(fileURLToPath(new URL('./role.ts', import.meta.url)), [this.#role], {
      env: { ...process.env, KITTIWAKE_CONFIG: JSON.stringify(this.#config) },
      execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'],
      stdio: ['ignore', logFd, logFd, 'ipc'],
    });
    closeSync(logFd);
    this.#child = child;
    child.on('message', (message: RoleMessage) => {
      if (message.type === 'ready') this.#settle()?.resolve();
      else this.#settle()?.reject(new Error(message.message));
    });
    child.on('exit', (code, signal) => {
      this.#child = undefined;
      if (this.#isStopping) return;
      const exit = signal === null ? `exit code ${code}` : `signal ${signal}`;
      this.#settle()?.reject(
        new Error(`the ${this.#role} process ended (${exit}) before it was ready: see ${logFile}`),
      );
      if (performance.now() - startedMs > healthyAfterMs) this.#attempt = 0;
      const delayMs = backoffDelayMs(restartBackoff, this.#attempt++);
      this.#onEvent({ type: 'restarting', role: this.#role, exit, delayMs, logFile });
      this.#restartTimer = setTimeout(() => this.#start(), delayMs);
    });
  }

  /** The outcome of the first start is settled once; later starts have none. */
  #settle() {
    const settle = this.#settleFirst;
    this.#settleFirst = undefined;
    return settle;
  }

  #logFile(): string {
    return join(this.#config.dataDir, 'logs', `${this.#role}.log`);
  }

  /** Ends the role: `killed` when it could not end by itself, and what it ran may have outlived it. */
  stop(): Promise<'stopped' | 'killed'> {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    clearInterval(this.#logTimer);
    const child = this.#child;
    if (!child) return Promise.resolve('killed'); // It has died, and its restart will not come.
    return new Promise((resolve) => {
      const force = setTimeout(() => {
        this.#onEvent({ type: 'stopped-by-force', role: this.#role });
        child.kill('SIGKILL');
      }, stopTimeoutMs);
      child.once('exit', (code) => {
        clearTimeout(force);
        resolve(code === 0 ? 'stopped' : 'killed');
      });
      child.kill('SIGTERM');
    });
  }
}

/** Keeps a role's log and the one before it: the role appends, so its file can be copied and emptied under it. */
function boundLog(file: string): void {
  const sizeBytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeBytes <= logBytesMax) return;
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
}
