import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildContext } from '../../context.ts';
import { BuildFailure } from '../../failure.ts';
import type { Locks } from '../../locks.ts';
import type { SourceTree } from '../../source/tree.ts';
import { readTree, writeTree } from '../../source/write.ts';
import { stepEnvironment } from '../../steps/environment.ts';
import { BuildLog } from '../../steps/log.ts';
import { runStep } from '../../steps/step.ts';
import { type Install, install, installKey } from './install.ts';
import { hasDependencies, hasDevDependencies } from './package-json.ts';

/** Workspaces that are kept; the one unused for longest goes first. */
const workspacesMax = 8;
const installedMark = '.installed';

/**
 * Runs the project's own `build` script and returns the tree with what it made. Development dependencies stay installed
 * in a workspace for the next build with the same lockfile; one build at a time uses it.
 */
export async function compile(
  what: Omit<Install, 'manager'> & { manager: Install['manager'] | undefined },
  context: BuildContext,
): Promise<SourceTree> {
  const { manager, packageJson } = what;
  const needsInstall = manager !== undefined && (hasDependencies(packageJson) || hasDevDependencies(packageJson));
  if (!needsInstall) return compileIn(join(context.workDir, 'compile'), what, context);
  const key = installKey({ ...what, manager });
  const workspace = join(context.folders.workspaces, key);
  return context.locks.hold(workspace, context.signal, async () => {
    const app = join(workspace, 'app');
    if (!existsSync(join(workspace, installedMark))) {
      await rm(workspace, { recursive: true, force: true });
      await removeOldest(context.folders.workspaces, context.locks);
      await install({ ...what, manager }, app, context);
      await mkdir(join(workspace, installedMark));
    }
    await utimes(workspace, new Date(), new Date());
    await clear(app);
    return compileIn(app, what, context);
  });
}

async function compileIn(
  app: string,
  { tree, packageJson, options }: Pick<Install, 'tree' | 'packageJson' | 'options'>,
  context: BuildContext,
): Promise<SourceTree> {
  await mkdir(app, { recursive: true });
  await writeTree(tree, app);
  const script = packageJson.scripts?.build ?? '';
  const home = join(context.workDir, 'home');
  await mkdir(home, { recursive: true });
  context.progress(`running the build script: ${script}`);
  context.log.say(`> ${script}`);
  const output = new BuildLog(64 * 1024);
  const env = stepEnvironment(home, options.env);
  const code = await runStep({
    command: '/bin/sh',
    args: ['-c', script],
    cwd: app,
    env: { ...env, PATH: `${join(app, 'node_modules', '.bin')}:${env.PATH}` },
    log: output,
    signal: context.signal,
    pidDir: context.folders.pids,
    runsForeignCode: true,
  }).finally(() => context.log.write(output.text()));
  if (code !== 0) throw new BuildFailure('CompileFailed', compileMessage(script, code, output.text()));
  return readTree(app, ['node_modules', '.git']);
}

/** The lines that name a place come first in what a reader needs. */
function compileMessage(script: string, code: number, output: string): string {
  // Cut, because a pattern that looks everywhere in a line takes the square of its length.
  const lines = output
    .trim()
    .split('\n')
    .map((line) => line.slice(0, 1000));
  const places = lines.filter((line) => /[\w./-]+\.[mc]?[jt]sx?[:(]\d+/.test(line));
  const shown = places.length > 0 ? places.slice(0, 10) : lines.slice(-10);
  return `the build script "${script}" failed (exit code ${code}):\n${shown.join('\n')}`;
}

/**
 * Leaves only what was installed, without the caches of tools: a build sees its source and nothing of the one before.
 */
async function clear(app: string): Promise<void> {
  for (const name of await readdir(app)) {
    if (name !== 'node_modules') await rm(join(app, name), { recursive: true, force: true });
  }
  await rm(join(app, 'node_modules', '.cache'), { recursive: true, force: true });
}

async function removeOldest(folder: string, locks: Locks): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  const ages = await Promise.all(
    names.map(async (name) => ({ path: join(folder, name), usedMs: (await stat(join(folder, name))).mtimeMs })),
  );
  let tooMany = names.length - workspacesMax + 1;
  for (const { path } of ages.sort((a, b) => a.usedMs - b.usedMs)) {
    if (tooMany <= 0) return;
    if (await locks.holdIfFree(path, () => rm(path, { recursive: true, force: true }))) tooMany--;
  }
}
