import { BuildKind } from '../api/build/build.ts';
import { PodKind } from '../api/core/pod.ts';
import { conditionOf } from '../api/meta.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { type CommonOptions, type RunningPlatform, runningPlatform } from './platform.ts';
import { generationOf, isBuildOf } from './progress.ts';
import { podsOfService, readServiceLogs } from './service-logs.ts';
import { dim, print, say } from './terminal.ts';

export interface LogsOptions {
  namespace: string;
  follow?: boolean;
  tail?: string;
  build?: boolean;
}

/** `kittiwake logs NAME`: what the service's pods print, each line with its pod when there are several. */
export async function logs(common: CommonOptions, name: string, options: LogsOptions): Promise<void> {
  const platform = runningPlatform(common);
  const key = { namespace: options.namespace, name };
  if (!(await platform.client.get(ServiceKind, key))) {
    throw new Error(`there is no service ${name} in namespace ${options.namespace}: see 'kittiwake get ksvc'`);
  }
  if (options.build === true) return printBuildLog(platform, key);
  const pods = new Set<string>();
  const tailLines = options.tail === undefined ? {} : { tailLines: parseTail(options.tail) };
  const onLine = (line: { pod: string; text: string }) => {
    pods.add(line.pod);
    print(pods.size > 1 ? `${dim(line.pod)} ${line.text}` : line.text);
  };
  await readServiceLogs(
    platform,
    key,
    { follow: options.follow === true, ...tailLines },
    onLine,
    new AbortController().signal,
  );
  if (pods.size === 0) say(await whySilent(platform, key));
}

/** Why there is not a line to print. */
async function whySilent({ client }: RunningPlatform, key: { namespace: string; name: string }): Promise<string> {
  const labelSelector = podsOfService(key.name);
  const { items } = await client.list(PodKind, { namespace: key.namespace, labelSelector });
  const ready = conditionOf(await client.get(ServiceKind, key), 'Ready');
  const printed = items.length === 0 ? `no pod of ${key.name} runs` : `the pods of ${key.name} have printed nothing`;
  if (ready?.status !== 'True') return `${printed}: it is not ready: ${ready?.message || ready?.reason || 'Unknown'}`;
  if (items.length > 0) return `${printed} yet (--follow waits for it)`;
  return `${printed}: it is at zero, and wakes with the next request (--follow waits for it)`;
}

async function printBuildLog({ client }: RunningPlatform, key: { namespace: string; name: string }): Promise<void> {
  const { items } = await client.list(BuildKind, { namespace: key.namespace });
  const builds = items.filter((build) => isBuildOf(key, build)).sort((a, b) => generationOf(a) - generationOf(b));
  const last = builds.at(-1);
  if (!last) throw new Error(`${key.name} has no build`);
  print(last.status?.log?.trimEnd() ?? '');
}

function parseTail(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`--tail is ${JSON.stringify(text)}: give a number of lines`);
}
