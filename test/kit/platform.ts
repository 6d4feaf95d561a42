/** A platform of a test's or bench's own: `kittiwake up` as a user runs it, on its own data folder and free ports. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Client } from '../../src/kube/client.ts';
import { httpClient } from '../../src/kube/http/index.ts';
import { type Addresses, readAddresses } from '../../src/server/addresses.ts';
import { portDefinitions } from '../../src/server/config.ts';

export { roleProcesses } from '../../src/server/role-processes.ts';

const launcher = fileURLToPath(new URL('../../bin/kittiwake', import.meta.url));
const anyPort = Object.values(portDefinitions).flatMap(({ flag }) => [flag, '0']);

export interface TestPlatform {
  dataDir: string;
  addresses: Addresses;
  client: Client;
  /** The supervisor. */
  process: ChildProcess;
  /** Milliseconds from spawning the command until it was ready. */
  readyMs: number;
  /** Ctrl-C; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export function newDataDir(): { dataDir: string; remove(): void } {
  const dataDir = mkdtempSync(join(tmpdir(), 'kittiwake-test-'));
  return { dataDir, remove: () => rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 }) };
}

/** The platform that was started last on a data folder. */
const newest = new Map<string, TestPlatform>();

/** A platform for the tests of one file; after them it is stopped, or the one that replaced it, and its folder goes. */
export async function platformOfFile(): Promise<{ dataDir: string; platform: TestPlatform }> {
  const { dataDir, remove } = newDataDir();
  after(async () => {
    await newest.get(dataDir)?.stop();
    remove();
  });
  return { dataDir, platform: await startTestPlatform(dataDir) };
}

/** Runs `kittiwake up` until it is ready; throws with what it printed when it ends instead. */
export async function startTestPlatform(dataDir: string, args: string[] = anyPort): Promise<TestPlatform> {
  const startedMs = performance.now();
  const child = spawn(launcher, ['--data-dir', dataDir, 'up', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const addresses = await new Promise<Addresses>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      output += chunk;
      const found = output.includes('KUBECONFIG=') ? readAddresses(dataDir) : undefined;
      if (found) resolve(found);
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    child.once('exit', (code) => reject(new Error(`kittiwake up ended with code ${code}: ${output}`)));
  });
  const platform: TestPlatform = {
    dataDir,
    addresses,
    client: httpClient({ kubeconfigPath: addresses.kubeconfig }),
    process: child,
    readyMs: performance.now() - startedMs,
    stop() {
      child.kill('SIGINT');
      return exited;
    },
  };
  newest.set(dataDir, platform);
  return platform;
}

/** Runs a kittiwake command to its end. */
export function kittiwake(
  dataDir: string,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(launcher, ['--data-dir', dataDir, ...args], { timeout: 240_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** Calls `probe` until it gives something, at most for `timeoutMs`; throws `what` with its last error after that. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined>, timeoutMs = 30_000): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let lastError: unknown;
  while (performance.now() < deadlineMs) {
    try {
      const found = await probe();
      if (found !== undefined) return found;
    } catch (error) {
      lastError = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${what} did not happen within ${timeoutMs / 1000} s`, { cause: lastError });
}
