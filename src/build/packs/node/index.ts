import { runtimeLabel } from '../../../registry/index.ts';
import { machineBase } from '../../base/machine-base.ts';
import { BuildFailure } from '../../failure.ts';
import type { SourceFolder } from '../../source/source.ts';
import type { AppStart, BuildPlan, Compile, MadeLayer, Pack, PlanOptions } from '../pack.ts';
import { checkTypeScript } from './check-types.ts';
import { buildScript, compileLines } from './compile.ts';
import { type Install, installed, installLines } from './install.ts';
import { hasDependencies, hasDevDependencies, type PackageJson, readPackageJson } from './package-json.ts';
import { findPackageManager, type PackageManager } from './package-manager.ts';
import { runtimeLayer, runtimeMain } from './runtime.ts';
import { decideStart, type StartPlan, startsWithNode } from './start.ts';

/** What package managers keep for themselves, and what tools cache: never needed to run, and not reproducible. */
const ownState = [
  '.package-lock.json',
  '.cache',
  '.yarn-integrity',
  '.modules.yaml',
  '.pnpm-workspace-state.json',
  '.pnpm-workspace-state-v1.json',
].map((name) => `node_modules/${name}`);

/**
 * Node.js and TypeScript: dependencies from the lockfile as one layer, the app as another, for functions the runtime
 * between them, on this platform's own Node. Who has one of its own, as the label names it, can leave the
 * base out.
 */
export function nodePack(): Pack {
  const checked = new Set<string>();
  return {
    name: 'node',
    version: '1',
    looksFor: ['package.json', 'index.js', 'index.ts'],
    detect(source) {
      const found = startsWithNode(source);
      return found === undefined ? undefined : { because: `${found} is there` };
    },
    plan,
    base: machineBase,
    async start(app, source, signal) {
      if (app === source) await checkTypeScript(app, checked, signal);
      return startOf(decideStart(app, readPackageJson(source)));
    },
    explain: (step, output) => (step.failure.reason === 'InstallFailed' ? installLines(output) : compileLines(output)),
  };
}

function plan(source: SourceFolder, options: PlanOptions): BuildPlan {
  const packageJson = readPackageJson(source);
  const manager = managerOf(source, packageJson);
  const install = manager && { source, packageJson, manager, options };
  return {
    notes: manager ? [`package manager ${manager.name}: there is a ${manager.lockfile}`] : [],
    ...(packageJson.scripts?.build === undefined ? {} : { compile: compilation(packageJson, options, install) }),
    ...(install && hasDependencies(packageJson) ? { dependencies: dependencies(install) } : {}),
  };
}

function compilation({ scripts }: PackageJson, options: PlanOptions, install: Install | undefined): Compile {
  return {
    step: buildScript(scripts?.build ?? '', options),
    ...(install ? { tools: installed({ ...install, withDevelopment: true }) } : {}),
    leaveOut: ['node_modules', '.git'],
    caches: ['node_modules/.cache'],
  };
}

function dependencies(install: Install): MadeLayer {
  const at = { createdBy: 'dependencies', folder: 'node_modules', at: 'app/node_modules', leaveOut: ownState };
  return { ...installed({ ...install, withDevelopment: false }), ...at };
}

async function startOf(plan: StartPlan): Promise<AppStart> {
  const because = `${plan.kind}: ${plan.because}`;
  const labels = { [runtimeLabel]: `node${process.versions.node.split('.')[0]}` };
  if (plan.kind === 'server') return { because, entrypoint: plan.command, layers: [], labels };
  return {
    because,
    entrypoint: ['node', runtimeMain, `--invoke=${plan.invoke}`, `./${plan.entry}`],
    layers: [await runtimeLayer()],
    labels: { ...labels, 'dev.kittiwake.function': plan.invoke },
  };
}

function managerOf(source: SourceFolder, packageJson: PackageJson): PackageManager | undefined {
  const isBuilt = packageJson.scripts?.build !== undefined;
  if (!hasDependencies(packageJson) && !(isBuilt && hasDevDependencies(packageJson))) return undefined;
  const manager = findPackageManager(source);
  if (manager) return manager;
  const remedy = "run 'npm install' and keep the package-lock.json that it writes with the source";
  throw new BuildFailure('LockfileMissing', `package.json has dependencies, but there is no lockfile: ${remedy}`);
}
