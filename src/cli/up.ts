import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Addresses, readAddresses } from '../server/addresses.ts';
import type { Config } from '../server/config.ts';
import { unusable } from '../server/data-dir.ts';
import { type Platform, type SupervisorEvent, startPlatform } from '../server/supervisor.ts';
import type { CommonOptions } from './platform.ts';
import { bold, dim, duration, green, print, red, say } from './terminal.ts';

/** `kittiwake up`: the platform in the foreground until Ctrl-C, or in the background with `--detach`. */
export async function up(common: CommonOptions, config: Config, detach = false): Promise<void> {
  if (detach) return upDetached(common);
  const platform = await startInForeground(config);
  printAddresses(platform.addresses, platform.readyMs);
  say(dim('Ctrl-C stops everything.'));
}

/** Starts the platform and ties it to Ctrl-C and SIGTERM: both stop everything, then end this process. */
export async function startInForeground(config: Config): Promise<Platform> {
  const starting = startPlatform(config, sayEvent);
  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    say('\nstopping …');
    const platform = await starting.catch(() => undefined); // A start that failed has nothing to stop, and says so.
    await platform?.stop();
    say('stopped; the next start resumes from here');
    process.exit(0);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return starting;
}

export function printAddresses(addresses: Addresses, readyMs?: number): void {
  if (readyMs !== undefined) say(`${green('ready')} in ${duration(readyMs)}`);
  print(
    `  gateway     ${addresses.gatewayUrl}   ${dim(`services are at http://NAME.NAMESPACE.${addresses.domain}:PORT/`)}`,
  );
  print(`  API server  ${addresses.apiUrl}`);
  print(`  broker      ${addresses.brokerUrl}`);
  print(`  registry    ${addresses.registryUrl}`);
  print(`  metrics     ${Object.values(addresses.metricsUrls).join('  ')}`);
  print(`  ${bold(`export KUBECONFIG=${quoted(addresses.kubeconfig)}`)}`);
}

/** Ready to paste into a shell. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function sayEvent(event: SupervisorEvent): void {
  if (event.type === 'restarting') {
    say(
      red(
        `the ${event.role} process ended (${event.exit}): started again in ${event.delayMs} ms; see ${event.logFile}`,
      ),
    );
  } else if (event.type === 'set-aside') {
    say(red(`"${event.name}" ended the ${event.role} process twice and is set aside (${event.reason}):`));
    say(red(`give it back with 'kittiwake release ${event.role} ${JSON.stringify(event.name)}'`));
  } else {
    say(red(`the ${event.role} process did not stop in time and was killed`));
  }
}

/** Starts this same command in the background, and waits until it is ready or has said why it is not. */
async function upDetached({ dataDir }: CommonOptions): Promise<void> {
  try {
    mkdirSync(join(dataDir, 'logs'), { recursive: true });
  } catch (error) {
    throw unusable(dataDir, error);
  }
  const logFile = join(dataDir, 'logs', 'supervisor.log');
  const log = openSync(logFile, 'w', 0o600);
  const args = process.argv.slice(1).filter((arg) => arg !== '-d' && arg !== '--detach');
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const startedMs = performance.now();
  while (readAddresses(dataDir)?.pid !== child.pid) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(
        readFileSync(logFile, 'utf8')
          .trim()
          .replace(/^error: /, ''),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const addresses = readAddresses(dataDir);
  child.unref();
  if (addresses) printAddresses(addresses, performance.now() - startedMs);
  say(dim("'kittiwake down' stops everything."));
}
