import { execFile } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { promisify } from 'node:util';
import { obstacleToForwarding } from '../cluster/network/index.ts';
import { messageOf } from '../lib/errors.ts';
import { readAddresses } from '../server/addresses.ts';
import { defaultConfig } from '../server/config.ts';
import { makeDataDir } from '../server/data-dir.ts';
import { howPodsRun } from '../server/embedded/how-pods-run.ts';
import { resolvePorts } from '../server/ports.ts';
import type { CommonOptions } from './platform.ts';
import { dim, green, print, red } from './terminal.ts';

interface Check {
  what: string;
  isOk: boolean;
  found: string;
  remedy?: string;
}

const freeBytesMin = 1024 ** 3;

/** `kittiwake doctor`: a line for each check, the remedy below those that fail; the exit code says if all passed. */
export async function doctor({ dataDir }: CommonOptions): Promise<void> {
  const checks = [
    nodeVersion(),
    await tool('npm', 'to install the dependencies of what is built'),
    await tool('git', 'to build from git repositories'),
    folder(dataDir),
    disk(dataDir),
    ...(await ports(dataDir)),
  ];
  for (const { what, isOk, found, remedy } of checks) {
    print(`${isOk ? green('ok  ') : red('fail')} ${what}: ${found}`);
    if (!isOk && remedy !== undefined) print(`     ${remedy}`);
  }
  print(dim(`     ${availableParallelism()} processors, ${Math.round(freemem() / 1024 ** 2)} MiB of memory free`));
  const { summary, lack, missingIsolation } = await howPodsRun();
  print(`${lack ? 'note' : green('ok  ')} ${summary}`);
  if (lack) print(`     ${lack.what}\n     ${lack.remedy}`);
  if (!lack) await printNetwork();
  for (const line of missingIsolation) print(`note ${line}`);
  if (checks.some((check) => !check.isOk)) process.exitCode = 1;
}

/** What keeps pods from using the network that they have. */
async function printNetwork(): Promise<void> {
  const obstacle = await obstacleToForwarding();
  if (obstacle) print(`note ${obstacle.what}\n     ${obstacle.remedy}`);
}

function nodeVersion(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isOk = major > 24 || (major === 24 && minor >= 12);
  return { what: 'Node.js >= 24.12', isOk, found: process.version, remedy: "run 'npm ci': the lockfile pins one" };
}

async function tool(name: string, purpose: string): Promise<Check> {
  try {
    const { stdout } = await promisify(execFile)(name, ['--version'], { timeout: 10_000 });
    return { what: name, isOk: true, found: stdout.trim().split('\n')[0] ?? '' };
  } catch {
    return { what: name, isOk: false, found: 'not found', remedy: `install ${name}: it is needed ${purpose}` };
  }
}

function folder(dataDir: string): Check {
  try {
    makeDataDir(dataDir);
    return { what: 'data folder', isOk: true, found: dataDir };
  } catch (error) {
    return { what: 'data folder', isOk: false, found: messageOf(error) };
  }
}

function disk(dataDir: string): Check {
  const nearest = existsSync(dataDir) ? dataDir : '/';
  const { bavail, bsize } = statfsSync(nearest);
  const free = bavail * bsize;
  const found = `${(free / 1024 ** 3).toFixed(1)} GiB free`;
  return {
    what: 'disk',
    isOk: free > freeBytesMin,
    found,
    remedy: 'free at least 1 GiB, or choose another disk with --data-dir',
  };
}

/** Whether the default ports are free; those of a platform that runs on this data folder are its own. */
async function ports(dataDir: string): Promise<Check[]> {
  const defaults = defaultConfig().ports;
  try {
    if (readAddresses(dataDir)) return [{ what: 'ports', isOk: true, found: 'in use by the running platform' }];
    await resolvePorts(defaults);
    return [{ what: 'ports', isOk: true, found: Object.values(defaults).join(', ') }];
  } catch (error) {
    return [{ what: 'ports', isOk: false, found: messageOf(error) }];
  }
}
