import { join } from 'node:path';
import type { RegistryClient } from '../registry/index.ts';
import type { Locks } from './locks.ts';
import type { Redact } from './redact.ts';
import type { BuildLog } from './steps/log.ts';
import type { StepRunner } from './steps/step-runner.ts';

/** What every part of one build works with. */
export interface BuildContext {
  registry: RegistryClient;
  folders: BuildFolders;
  log: BuildLog;
  /** Aborts on deletion, timeout and shutdown. */
  signal: AbortSignal;
  /** A folder of this build alone, removed at its end. */
  workDir: string;
  /** The repository that the image goes to, for example `registry.localhost/default/orders`. */
  repository: string;
  locks: Locks;
  /** Runs what packs plan. */
  steps: StepRunner;
  /** Takes credentials out of what is said of this build. */
  redact: Redact;
  /** Says which step has begun, for whoever watches. */
  progress(message: string): void;
}

/** What is where in the builds' own folder. All but `images` and `layers` may be deleted at any time. */
export interface BuildFolders {
  /** Build key to image digest. */
  images: string;
  /** Dependency key to the layer in the registry. */
  layers: string;
  /** npm's cache, shared by all builds. */
  npmCache: string;
  /** Installed development dependencies, by dependency key, for projects that compile. */
  workspaces: string;
  /** One folder for each build that runs. */
  work: string;
  /** Processes of the steps that run. */
  pids: string;
}

export function buildFolders(buildDir: string): BuildFolders {
  return {
    images: join(buildDir, 'cache', 'images'),
    layers: join(buildDir, 'cache', 'layers'),
    npmCache: join(buildDir, 'npm-cache'),
    workspaces: join(buildDir, 'workspaces'),
    work: join(buildDir, 'work'),
    pids: join(buildDir, 'pids'),
  };
}
