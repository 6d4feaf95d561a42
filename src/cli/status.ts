import { conditionOf } from '../api/meta.ts';
import { labels } from '../api/serving/names.ts';
import { RevisionKind } from '../api/serving/revision.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { messageOf } from '../lib/errors.ts';
import { readSome } from '../lib/http-body.ts';
import { HttpClient, NoReplyError, targetOf } from '../lib/http-client.ts';
import { releaseCommand } from '../lib/quarantine.ts';
import type { Addresses } from '../server/addresses.ts';
import { holderOf } from '../server/holder.ts';
import { listSetAside } from '../server/quarantine-files.ts';
import { listRestarts } from '../server/restarts.ts';
import { roleProcesses } from '../server/role-processes.ts';
import { type RoleName, roleNames } from '../server/roles.ts';
import { type CommonOptions, type RunningPlatform, runningPlatform } from './platform.ts';
import { green, print, printTable, red, say } from './terminal.ts';
import { printAddresses } from './up.ts';

/** Something runs, but not all is well. */
const exitCodeUnwell = 2;
const readyTimeoutMs = 3_000;
/** Older restarts are history: the log has them. */
const recentMs = 24 * 3_600_000;
const restartsShownMax = 5;

/**
 * `kittiwake status`: where things listen, the roles, each service with its URL, readiness and pods, what is set aside
 * and which roles were started again lately. Exits with 0 when all is well, 1 when no platform runs, 2 when one runs
 * but a role is not ready or something is set aside.
 */
export async function status(common: CommonOptions): Promise<void> {
  let platform: RunningPlatform;
  try {
    platform = runningPlatform(common);
  } catch (error) {
    printSetAside(common);
    printRestarts(common);
    throw error;
  }
  const { addresses } = platform;
  printAddresses(addresses);
  print(`  data        ${common.dataDir}`);
  const isReady = await printRoles(common, addresses);
  const isWhole = !printSetAside(common);
  printRestarts(common);
  if (!isReady || !isWhole) process.exitCode = exitCodeUnwell;
  print('');
  try {
    await printServices(platform);
  } catch (error) {
    process.exitCode = exitCodeUnwell;
    say(`${red('the services cannot be listed:')} ${messageOf(error)}`);
  }
}

/** A line for each role; false when one is not ready. */
async function printRoles({ dataDir }: CommonOptions, addresses: Addresses): Promise<boolean> {
  const processes = roleProcesses(holderOf(dataDir)?.pid);
  const running = roleNames.filter((role) => addresses.metricsUrls[role] !== undefined);
  const answers = await Promise.all(running.map((role) => whyNotReady(addresses.metricsUrls[role])));
  print('');
  printTable([
    ['ROLE', 'READY', 'PID', ''],
    ...running.map((role, i) => {
      const why = answers[i];
      const ready = why === undefined ? green('yes') : red('no');
      return [role, ready, String(processes[role] ?? ''), why ?? ''];
    }),
  ]);
  return answers.every((why) => why === undefined);
}

/** What the role's /readyz says; undefined when it is ready. */
async function whyNotReady(metricsUrl: string | undefined): Promise<string | undefined> {
  if (metricsUrl === undefined) return 'where it listens is not known';
  const client = new HttpClient();
  try {
    const target = targetOf(new URL('/readyz', metricsUrl));
    const response = await client.send({ method: 'GET', target, isRepeatable: false, wholeMs: readyTimeoutMs });
    const said = await readSome(response, 200);
    return response.statusCode === 200 ? undefined : said.trim();
  } catch (error) {
    const isSilent = error instanceof NoReplyError && error.code === 'TIMEOUT';
    return isSilent ? `it does not answer within ${readyTimeoutMs / 1000} s` : messageOf(error);
  }
}

async function printServices({ client }: RunningPlatform): Promise<void> {
  const [services, revisions] = await Promise.all([client.list(ServiceKind), client.list(RevisionKind)]);
  if (services.items.length === 0) return print("no services yet: try 'kittiwake deploy FOLDER'");
  const rows = services.items.map((service) => {
    const { namespace, name } = service.metadata;
    const ready = conditionOf(service, 'Ready');
    const pods = revisions.items
      .filter((r) => r.metadata.namespace === namespace && r.metadata.labels?.[labels.service] === name)
      .reduce((sum, revision) => sum + (revision.status?.actualReplicas ?? 0), 0);
    const why = ready?.status === 'True' ? '' : firstLine(ready?.message ?? ready?.reason ?? '');
    return [namespace ?? '', name, ready?.status ?? 'Unknown', String(pods), service.status?.url ?? '', why];
  });
  printTable([['NAMESPACE', 'SERVICE', 'READY', 'PODS', 'URL', ''], ...rows]);
}

/** Whether anything is set aside. */
function printSetAside({ dataDir }: CommonOptions): boolean {
  const entries = listSetAside(dataDir);
  if (entries.length === 0) return false;
  print(red('\nset aside, as it ended its role more than once:'));
  for (const entry of entries) {
    print(`  ${entry.role}: ${entry.name}, ${entry.times} times, since ${entry.since}: ${firstLine(entry.reason)}`);
    print(`    give it back with ${releaseCommand(entry.role, entry.name)}`);
  }
  return true;
}

function printRestarts({ dataDir }: CommonOptions): void {
  const recent = listRestarts(dataDir).filter(({ at }) => Date.now() - Date.parse(at) < recentMs);
  if (recent.length === 0) return;
  print(`\nroles started again in the last 24 h: ${countsOf(recent.map(({ role }) => role))}`);
  for (const { role, at, why } of recent.slice(-restartsShownMax)) print(`  ${at}  ${role}: ${firstLine(why)}`);
}

/** `control 2, broker 1` */
function countsOf(roles: RoleName[]): string {
  const named = roleNames.map((role) => [role, roles.filter((each) => each === role).length] as const);
  return named.flatMap(([role, count]) => (count > 0 ? [`${role} ${count}`] : [])).join(', ');
}

/** A table has one line a row: the whole message is in `kittiwake get ksvc NAME -o yaml`. */
function firstLine(text: string): string {
  const [line = '', ...more] = text.split('\n');
  return more.length > 0 ? `${line} …` : line;
}
