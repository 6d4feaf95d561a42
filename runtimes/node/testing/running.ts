import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../main.js', import.meta.url));

/** For tests: a folder with functions, each run by the runtime in a process of its own. */
export interface FunctionFolder {
  start(
    code: string,
    options?: { env?: Record<string, string>; args?: string[]; file?: string },
  ): Promise<RunningFunction>;
  remove(): Promise<void>;
}

export interface RunningFunction {
  url: string;
  file: string;
  child: ChildProcess;
  /** All that it printed so far. */
  output(): string;
  /** Resolves when it has printed what matches. */
  until(pattern: RegExp): Promise<void>;
  exited: Promise<number | null>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export async function openFunctionFolder(): Promise<FunctionFolder> {
  const dir = await mkdtemp(join(tmpdir(), 'kw-runtime-'));
  await writeFile(join(dir, 'package.json'), '{"type":"module"}');
  let count = 0;
  return {
    async start(code, { env = {}, args = [], file = `f${count++}.js` } = {}) {
      await writeFile(join(dir, file), code);
      const port = await freePort();
      const child = spawn(process.execPath, [main, ...args, `./${file}`], {
        cwd: dir,
        env: { PATH: process.env.PATH ?? '', PORT: String(port), FUNC_LOG_LEVEL: 'debug', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      const watchers = new Set<() => void>();
      const exited = once(child, 'exit').then(([exitCode]) => exitCode as number | null);
      const onData = (chunk: Buffer) => {
        output += chunk;
        for (const watcher of watchers) watcher();
      };
      child.stdout?.on('data', onData);
      child.stderr?.on('data', onData);
      const until = (pattern: RegExp) =>
        new Promise<void>((resolve, reject) => {
          const look = () => {
            if (!pattern.test(output)) return;
            watchers.delete(look);
            resolve();
          };
          watchers.add(look);
          child.on('close', (exitCode) => {
            look();
            reject(new Error(`exit code ${exitCode}: ${output}`));
          });
          look();
        });
      await until(/listening on port/);
      return {
        url: `http://127.0.0.1:${port}`,
        file: join(dir, file),
        child,
        output: () => output,
        until,
        exited,
        stop() {
          child.kill('SIGTERM');
          return exited;
        },
      };
    },
    remove: () => rm(dir, { recursive: true }),
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  assert.ok(address && typeof address === 'object');
  return address.port;
}
