import type { SourcePart } from '../../source/copy.ts';
import { type SourceFolder, textOf } from '../../source/source.ts';
import { yamlMap } from './yaml-map.ts';

/**
 * What a project's .npmrc may say: where packages come from and how to prove who asks, how the network is used, and
 * which packages are chosen. All else is about the machine (folders that are written, programs that are run), which is
 * not the project's to say.
 */
const npmrcAllowed = new Set([
  ...['registry', 'always-auth', 'ca', 'strict-ssl', 'proxy', 'https-proxy', 'noproxy'],
  ...['fetch-retries', 'fetch-retry-factor', 'fetch-retry-maxtimeout', 'fetch-retry-mintimeout', 'fetch-timeout'],
  ...['maxsockets', 'network-concurrency', 'prefer-offline', 'before', 'min-release-age', 'minimum-release-age'],
  ...['legacy-peer-deps', 'strict-peer-deps', 'force', 'engine-strict', 'install-strategy', 'install-links'],
  ...['omit', 'include', 'optional', 'os', 'cpu', 'libc', 'workspaces', 'include-workspace-root'],
  ...['save-exact', 'save-prefix', 'package-lock', 'lockfile', 'loglevel', 'fund', 'audit', 'progress', 'color'],
  ...['auto-install-peers', 'strict-peer-dependencies', 'dedupe-peer-dependents', 'link-workspace-packages'],
  ...['prefer-workspace-packages', 'shared-workspace-lockfile', 'inject-workspace-packages', 'resolution-mode'],
  ...['hoist', 'hoist-pattern', 'public-hoist-pattern', 'shamefully-hoist', 'exclude-links-from-lockfile'],
]);

const scopeRegistry = /^@[a-z0-9._~-]+:registry$/i;
/** `//host/path/:_authToken`; those that name files of the machine (certfile, keyfile) are left out. */
const registryLogin = /^\/\/\S+:(_authToken|_auth|username|_password|email|always-auth)$/;

/** What pnpm-workspace.yaml may say: which packages there are and which versions are chosen; the rest as above. */
const pnpmWorkspaceAllowed = new Set([
  ...['packages', 'catalog', 'catalogs', 'overrides', 'patchedDependencies', 'packageExtensions'],
  ...['peerDependencyRules', 'ignoredOptionalDependencies', 'supportedArchitectures', 'registries'],
  ...[
    'autoInstallPeers',
    'strictPeerDependencies',
    'dedupePeerDependents',
    'dedupeDirectDeps',
    'linkWorkspacePackages',
  ],
  ...['preferWorkspacePackages', 'sharedWorkspaceLockfile', 'injectWorkspacePackages', 'excludeLinksFromLockfile'],
  ...['hoist', 'hoistPattern', 'publicHoistPattern', 'shamefullyHoist', 'resolutionMode', 'minimumReleaseAge'],
  ...['allowUnusedPatches', 'allowNonAppliedPatches', 'catalogMode', 'cleanupUnusedCatalogs'],
]);

/** Files that package managers run, or that say what they run. */
const hookFiles =
  /^(\.pnpmfile\.[cm]?js|pnpmfile\.js|\.yarnrc(\.ya?ml)?|\.yarn|\.pnp\.[cm]?js|\.pnp\.loader\.mjs|\.corepack\.env)$/;

export interface ProjectSettings extends SourcePart {
  /** What was left out, each in a line for whoever wonders why it has no effect. */
  leftOut: string[];
}

/**
 * Of `paths`, what package managers may see: without what would have them write elsewhere or run something of the
 * project's. With scripts allowed, the project's hooks stay: they are scripts as well; where to write is still not its
 * own to say.
 */
export function withoutMachineSettings(
  source: SourceFolder,
  paths: readonly string[],
  allowScripts: boolean,
): ProjectSettings {
  const kept: string[] = [];
  const replaced: Record<string, string> = {};
  const leftOut: string[] = [];
  for (const path of paths) {
    const segments = path.split('/');
    const name = segments.at(-1) ?? '';
    const hook = segments.find((segment) => hookFiles.test(segment));
    if (hook !== undefined && !allowScripts && !segments.includes('node_modules')) {
      leftOut.push(`${path}: package managers run it, and scripts are off (spec.allowScripts)`);
      continue;
    }
    kept.push(path);
    if (source.entries.get(path)?.type === 'symlink') continue;
    const text = () => textOf(source, path) ?? '';
    if (name === '.npmrc') replaced[path] = filteredNpmrc(text(), path, leftOut);
    else if (path === 'pnpm-workspace.yaml' && !allowScripts) replaced[path] = filteredWorkspace(text(), leftOut);
  }
  return { paths: kept, replaced, leftOut };
}

function filteredNpmrc(content: string, path: string, leftOut: string[]): string {
  const kept: string[] = [];
  for (const line of content.split(/[\r\n]+/)) {
    const text = line.trim();
    if (text === '' || text.startsWith('#') || text.startsWith(';')) continue;
    const key = (text.split('=', 1)[0] ?? '').trim().replace(/\[\]$/, '');
    if (npmrcAllowed.has(key) || scopeRegistry.test(key) || registryLogin.test(key)) kept.push(text);
    else leftOut.push(`${path}: ${key.slice(0, 60)} is left out: it is the machine's to say, not the project's`);
  }
  return kept.map((line) => `${line}\n`).join('');
}

function filteredWorkspace(text: string, leftOut: string[]): string {
  const file = 'pnpm-workspace.yaml';
  const value = yamlMap(text, file, 'packages: ["packages/*"]');
  const kept = Object.entries(value).filter(([key]) => {
    if (!pnpmWorkspaceAllowed.has(key)) leftOut.push(`${file}: ${key} is left out: scripts are off`);
    return pnpmWorkspaceAllowed.has(key);
  });
  return JSON.stringify(Object.fromEntries(kept)); // JSON is YAML.
}
