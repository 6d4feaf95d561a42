/** The real kubectl against an API server of this process, in a folder of its own. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type SuiteContext, type TestContext, test } from 'node:test';
import { platformKinds } from '../../src/api/platform.ts';
import { type ApiServer, openApiServer } from '../../src/cluster/apiserver/index.ts';
import type { PodLogs } from '../../src/cluster/pod-logs.ts';
import { workloadControllers } from '../../src/cluster/workloads/index.ts';
import { type RunningControllers, runControllers } from '../../src/kube/runner.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/observe/log.ts';

export const kubectlProgram = process.env.KUBECTL ?? 'kubectl';
export const isKubectlThere = spawnSync(kubectlProgram, ['version', '--client'], { stdio: 'ignore' }).status === 0;

/** A test that needs kubectl; without one it is reported as left out, not as passed. */
export function kubectlTest(
  name: string,
  body: (t: TestContext | SuiteContext) => Promise<void>,
  timeout = 60_000,
): void {
  const skip = isKubectlThere
    ? false
    : `LEFT OUT: "${kubectlProgram}" is not there; put kubectl in PATH or its path in $KUBECTL`;
  test(name, { skip, timeout }, body);
}

export interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

export interface KubectlCluster {
  /** Runs kubectl to its end. */
  run(...args: string[]): Promise<Run>;
  /** Runs kubectl with a manifest: `-f FILE` is appended. Objects become JSON. */
  runWith(manifest: string | object, ...args: string[]): Promise<Run>;
  /** Like `run`; fails with what kubectl printed unless it exits with 0. Returns what it printed. */
  ok(...args: string[]): Promise<string>;
  okWith(manifest: string | object, ...args: string[]): Promise<string>;
  /** Starts a kubectl that goes on until the test ends. */
  start(t: TestContext | SuiteContext, ...args: string[]): Following;
  readonly api: ApiServer;
}

export interface Following {
  child: ChildProcess;
  /** Resolves once what was printed so far matches, be it output or errors. */
  until(pattern: RegExp): Promise<string>;
}

export interface KubectlClusterOptions {
  podLogs?: PodLogs;
  /** Roles say who may do what. */
  hasRoles?: boolean;
  /** For kubectl, besides its own configuration. */
  environment?: NodeJS.ProcessEnv;
}

/** One API server with the workload controllers, and no node, for the tests of a file. */
export function openKubectlCluster(options: KubectlClusterOptions = {}): KubectlCluster {
  let dir: string;
  let api: ApiServer;
  let controllers: RunningControllers;
  let environment: NodeJS.ProcessEnv;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'kittiwake-kubectl-'));
    api = await openApiServer({
      dataDir: dir,
      clock: systemClock,
      log: silentLogger,
      kinds: platformKinds,
      ...(options.podLogs && { podLogs: options.podLogs }),
      ...(options.hasRoles && { rbac: { platformUsers: [] } }),
    });
    controllers = await runControllers(workloadControllers(), {
      client: api.client,
      clock: systemClock,
      log: silentLogger,
    });
    const { kubeconfigPath } = await api.listen({ port: 0 });
    // A home of its own: an empty discovery cache.
    environment = { ...process.env, KUBECONFIG: kubeconfigPath, HOME: dir, ...options.environment };
  });
  after(async () => {
    await controllers.stop();
    await api.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  let files = 0;
  const write = (manifest: string | object) => {
    const file = join(dir, `manifest-${++files}.yaml`);
    writeFileSync(file, typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
    return file;
  };
  const run = (...args: string[]): Promise<Run> =>
    new Promise((resolve) => {
      execFile(kubectlProgram, args, { env: environment, timeout: 50_000 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr });
      });
    });
  const ok = async (...args: string[]) => {
    const { code, stderr, stdout } = await run(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} exited with ${code}:\n${stdout}${stderr}`);
    return stdout;
  };
  return {
    run,
    ok,
    runWith: (manifest, ...args) => run(...args, '-f', write(manifest)),
    okWith: (manifest, ...args) => ok(...args, '-f', write(manifest)),
    start: (t, ...args) =>
      follow(t, spawn(kubectlProgram, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })),
    get api() {
      return api;
    },
  };
}

function follow(t: TestContext | SuiteContext, child: ReturnType<typeof spawn>): Following {
  let printed = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      printed += chunk;
      for (const check of waiting) check();
    });
  }
  child.on('exit', () => {
    for (const check of waiting) check();
  });
  if ('after' in t) t.after(() => child.kill());
  return {
    child,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const hasEnded = child.exitCode !== null || child.signalCode !== null;
          if (!pattern.test(printed) && !hasEnded) return;
          waiting.delete(check);
          if (pattern.test(printed)) resolve(printed);
          else reject(new Error(`kubectl ended before it printed ${pattern}; it printed:\n${printed}`));
        };
        waiting.add(check);
        check();
      }),
  };
}
