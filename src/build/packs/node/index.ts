import type { BuildContext } from '../../context.ts';
import { BuildFailure } from '../../failure.ts';
import { type Layer, layerOf, treeEntries } from '../../layers/layer.ts';
import { cachedLayer } from '../../layers/layer-cache.ts';
import type { SourceTree } from '../../source/tree.ts';
import type { Pack, PackOptions, PackOutput } from '../pack.ts';
import { checkTypeScript } from './check-types.ts';
import { compile } from './compile.ts';
import { install, installKey, modulesLayer } from './install.ts';
import { hasDependencies, hasDevDependencies, type PackageJson, readPackageJson } from './package-json.ts';
import { findPackageManager, type PackageManager } from './package-manager.ts';
import { runtimeLayer, runtimeMain } from './runtime.ts';
import { planStart, type StartPlan, startsWithNode } from './start.ts';

/**
 * Node.js and TypeScript: dependencies from the lockfile as one layer, the app as another, for functions the runtime
 * between them. The image holds no Node: the node agent brings the one that the label names.
 */
export function nodePack(): Pack {
  const checked = new Set<string>();
  return {
    name: 'node',
    version: '1',
    detect(tree) {
      const found = startsWithNode(tree);
      return found === undefined ? undefined : { because: `there is a ${found}` };
    },
    async build(tree, options, context) {
      const packageJson = readPackageJson(tree);
      const manager = managerOf(tree, packageJson);
      if (manager) context.log.say(`package manager ${manager.name}: there is a ${manager.lockfile}`);
      const compiled = await compileOrCheck(tree, packageJson, manager, options, context, checked);
      const plan = planStart(compiled, packageJson);
      context.log.say(`${plan.kind}: ${plan.because}`);
      const dependencies = await dependencyLayer(tree, packageJson, manager, options, context);
      context.progress('packing the app');
      const app = await layerOf(treeEntries(compiled, 'app'), 'app');
      const runtime = plan.kind === 'function' ? [await runtimeLayer()] : [];
      return { ...startOf(plan), layers: [...dependencies, ...runtime, app], workingDir: '/app' };
    },
  };
}

function startOf(plan: StartPlan): Pick<PackOutput, 'entrypoint' | 'labels'> {
  const labels = { 'dev.kittiwake.runtime': `node${process.versions.node.split('.')[0]}` };
  if (plan.kind === 'server') return { entrypoint: plan.command, labels };
  return {
    entrypoint: ['node', runtimeMain, `--invoke=${plan.invoke}`, `./${plan.entry}`],
    labels: { ...labels, 'dev.kittiwake.function': plan.invoke },
  };
}

function managerOf(tree: SourceTree, packageJson: PackageJson): PackageManager | undefined {
  const isBuilt = packageJson.scripts?.build !== undefined;
  if (!hasDependencies(packageJson) && !(isBuilt && hasDevDependencies(packageJson))) return undefined;
  const manager = findPackageManager(tree);
  if (manager) return manager;
  const remedy = "run 'npm install' and keep the package-lock.json that it writes with the source";
  throw new BuildFailure('LockfileMissing', `package.json has dependencies, but there is no lockfile: ${remedy}`);
}

async function compileOrCheck(
  tree: SourceTree,
  packageJson: PackageJson,
  manager: PackageManager | undefined,
  options: PackOptions,
  context: BuildContext,
  checked: Set<string>,
): Promise<SourceTree> {
  if (packageJson.scripts?.build !== undefined) {
    return compile({ tree, packageJson, manager, options, withDevelopment: true }, context);
  }
  await checkTypeScript(tree, checked, context.signal);
  return tree;
}

async function dependencyLayer(
  tree: SourceTree,
  packageJson: PackageJson,
  manager: PackageManager | undefined,
  options: PackOptions,
  context: BuildContext,
): Promise<Layer[]> {
  if (!manager || !hasDependencies(packageJson)) return [];
  const what = { tree, packageJson, manager, options, withDevelopment: false };
  const layer = await cachedLayer(installKey(what), 'dependencies', context, async () => {
    const folder = `${context.workDir}/install`;
    await install(what, folder, context);
    return modulesLayer(folder, context);
  });
  return [layer];
}
