import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { releaseCommand } from '../lib/quarantine.ts';
import { shellWord } from '../lib/shell-word.ts';
import { type Addresses, readAddresses } from '../server/addresses.ts';
import { type Config, defaultDataDir } from '../server/config.ts';
import { checkNotHeld, makeDataDir } from '../server/data-dir.ts';
import { substrateOf } from '../server/substrate.ts';
import { type Platform, type SupervisorEvent, startPlatform } from '../server/supervisor.ts';
import type { CommonOptions } from './platform.ts';
import { bold, dim, duration, green, print, printError, red, say } from './terminal.ts';

/** `kittiwake up`: the platform in the foreground until Ctrl-C, or in the background with `--detach`. */
export async function up(common: CommonOptions, config: Config, detach = false): Promise<void> {
  if (detach) return upDetached(common, config);
  const platform = await startInForeground(config);
  printAddresses(platform.addresses, platform.readyMs);
  await sayHowPodsRun(config);
  say(dim('Ctrl-C stops everything.'));
}

/** A start takes seconds; one that has not ended by then may say why in its logs. */
const sayAgainMs = 10_000;
/** Reading a large store takes its time; after this nobody waits in the background any more. */
const detachedWaitMs = 300_000;
/** A start that does not end is left behind on Ctrl-C: its processes end with this one. */
const stopWaitMs = 5_000;

/**
 * Starts the platform and ties it to Ctrl-C, SIGTERM and its terminal: all stop everything, then end this process.
 * `stopping` aborts at that moment: what fails after it fails because of it.
 */
export async function startInForeground(config: Config): Promise<Platform & { stopping: AbortSignal }> {
  // Who read the output may go: the platform stays.
  for (const stream of [process.stdout, process.stderr]) stream.removeAllListeners('error').on('error', () => {});
  const stopping = new AbortController();
  const starting = startPlatform(config, sayEvent, stopping.signal);
  const stop = async () => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    say('\nstopping …');
    // A start that failed has nothing to stop, and says so; one that has not ended is given up.
    const platform = await Promise.race([starting.catch(() => undefined), setTimeout(stopWaitMs, undefined)]);
    await platform?.stop();
    say('stopped; the next start resumes from here');
    process.exit(0);
  };
  const onSignal = () => {
    stop().catch((error) => {
      printError(error);
      process.exit(1);
    });
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // The terminal was closed. Under nohup there is none to write to, and the signal stays ignored.
  if (process.stdout.isTTY) process.on('SIGHUP', onSignal);
  const telling = setInterval(() => say(`still starting: the logs are in ${join(config.dataDir, 'logs')}`), sayAgainMs);
  try {
    return Object.assign(await starting, { stopping: stopping.signal });
  } catch (error) {
    if (stopping.signal.aborted) await new Promise(() => {}); // As asked: `stop` ends this process.
    throw error;
  } finally {
    clearInterval(telling);
  }
}

/** On a cluster that is its own matter. */
async function sayHowPodsRun(config: Config): Promise<void> {
  const { summary, lack } = (await substrateOf(config).howPodsRun()) ?? {};
  if (summary !== undefined) say(`${summary}${lack ? `: ${lack.what}` : ''}`);
  if (lack) say(dim(lack.remedy));
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
  print(`  ${bold(`export KUBECONFIG=${shellWord(addresses.kubeconfig)}`)}`);
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
    say(red(`give it back with: ${releaseCommand(event.role, event.name)}`));
  } else {
    say(red(`the ${event.role} process did not stop in time and was killed`));
  }
}

/** Starts this same command in the background, and waits until it is ready or has said why it is not. */
async function upDetached({ dataDir }: CommonOptions, config: Config): Promise<void> {
  checkNotHeld(dataDir); // Else its output would be lost to that of a start that fails.
  makeDataDir(dataDir, ['logs']);
  const logFile = join(dataDir, 'logs', 'supervisor.log');
  const log = openSync(logFile, 'w', 0o600);
  const args = process.argv.slice(1).filter((arg) => arg !== '-d' && arg !== '--detach');
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const startedMs = performance.now();
  let saidMs = startedMs;
  let addresses: Addresses | undefined;
  while (addresses === undefined) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const said = readFileSync(logFile, 'utf8').trim();
      throw new Error(said.replace(/^error: /, '') || `it ended with ${child.signalCode ?? child.exitCode}`);
    }
    const nowMs = performance.now();
    if (nowMs - startedMs > detachedWaitMs) {
      child.kill('SIGTERM');
      const where = `look into ${join(dataDir, 'logs')}`;
      throw new Error(`the platform was not ready within ${detachedWaitMs / 1000} s, and is stopped: ${where}`);
    }
    if (nowMs - saidMs > sayAgainMs) {
      saidMs = nowMs;
      say(`still starting (process ${child.pid}): the logs are in ${join(dataDir, 'logs')}`);
    }
    await setTimeout(10);
    const found = readAddresses(dataDir);
    if (found?.pid === child.pid) addresses = found;
  }
  child.unref();
  printAddresses(addresses, performance.now() - startedMs);
  await sayHowPodsRun(config);
  const which = dataDir === defaultDataDir() ? '' : ` --data-dir ${shellWord(dataDir)}`;
  say(dim(`'kittiwake down${which}' stops everything.`));
}
