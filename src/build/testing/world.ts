import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../lib/clock.ts';
import { Mutexes } from '../../lib/mutexes.ts';
import { silentLogger } from '../../observe/log.ts';
import { RegistryClient } from '../../registry/index.ts';
import { type RunningRegistry, startRegistry } from '../../registry/server/registry.ts';
import { type BuildContext, buildFolders } from '../context.ts';
import { redactFor } from '../redact.ts';
import { BuildLog } from '../steps/log.ts';
import { processRunner } from '../steps/process-runner.ts';

/** For tests of builds: a real registry in a folder of its own, and contexts for builds. */
export interface BuildWorld {
  dir: string;
  registry: RunningRegistry;
  client: RegistryClient;
  /** Where the registry is, for clients of other processes. */
  mirrors: Record<string, string>;
  /** A context for one build that pushes to `registry.localhost/test/NAME`. */
  context(name: string, signal?: AbortSignal): BuildContext;
  /** Writes files into a new folder and returns its path. */
  folder(files: Record<string, string>): Promise<string>;
  stop(): Promise<void>;
}

export async function openBuildWorld(): Promise<BuildWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'kw-build-'));
  const registry = await startRegistry({ dir: join(dir, 'registry'), port: 0, clock: systemClock, log: silentLogger });
  const mirrors = { 'registry.localhost': registry.url };
  const client = new RegistryClient({ mirrors });
  const locks = new Mutexes();
  let count = 0;
  return {
    dir,
    registry,
    client,
    mirrors,
    context: (name, signal = new AbortController().signal) => ({
      registry: client,
      folders: buildFolders(join(dir, 'build')),
      log: new BuildLog(),
      signal,
      workDir: join(dir, 'work', String(count++)),
      repository: `registry.localhost/test/${name}`,
      redact: redactFor(undefined),
      locks,
      steps: processRunner(buildFolders(join(dir, 'build')).pids),
      progress: () => {},
    }),
    async folder(files) {
      const folder = join(dir, `folder-${count++}`);
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), text);
      }
      return folder;
    },
    async stop() {
      client.close();
      await registry.stop();
      // Processes of builds that end may still write.
      await rm(dir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
