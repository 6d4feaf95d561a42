import { request } from 'node:http';
import { ServiceKind } from '../api/serving/service.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { readData } from './send.ts';
import { say } from './terminal.ts';

export interface InvokeOptions {
  namespace: string;
  method?: string;
  path: string;
  data?: string;
  header?: string[];
}

/** `kittiwake invoke`: one request through the gateway; the reply's body goes to standard output. Fails from 400 on. */
export async function invoke(common: CommonOptions, name: string, options: InvokeOptions): Promise<void> {
  const { addresses, client } = runningPlatform(common);
  const { namespace } = options;
  const service = await client.get(ServiceKind, { namespace, name });
  if (!service) throw new Error(`there is no service ${name} in namespace ${namespace}: see 'kittiwake get ksvc'`);
  const body = options.data === undefined ? undefined : readData(options.data);
  const headers = Object.fromEntries((options.header ?? []).map(parseHeader));
  const startedMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    const { hostname, port } = new URL(addresses.gatewayUrl);
    const outgoing = request({
      hostname,
      port,
      path: options.path.startsWith('/') ? options.path : `/${options.path}`,
      method: options.method ?? (body === undefined ? 'GET' : 'POST'),
      // The cluster-local name reaches every service, also those without a public one.
      headers: { host: `${name}.${namespace}.svc.cluster.local`, ...jsonWhenBody(body), ...headers },
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const status = response.statusCode ?? 0;
      say(`HTTP ${status} in ${Math.round(performance.now() - startedMs)} ms`);
      if (status >= 400) process.exitCode = 1;
      let isLineOpen = false;
      response.on('data', (chunk: Buffer) => {
        isLineOpen = chunk.at(-1) !== 0x0a;
      });
      response.once('error', reject).once('end', () => {
        if (isLineOpen && process.stdout.isTTY) process.stdout.write('\n');
        resolve();
      });
      response.pipe(process.stdout, { end: false });
    });
    outgoing.end(body);
  });
  const ready = service.status?.conditions?.find((condition) => condition.type === 'Ready');
  if (process.exitCode === 1 && ready?.status !== 'True')
    say(`service ${name} is not ready: ${ready?.message ?? ready?.reason ?? 'nothing is known of it yet'}`);
}

const jsonWhenBody = (body: Buffer | undefined): Record<string, string> =>
  body === undefined ? {} : { 'content-type': 'application/json' };

function parseHeader(text: string): [string, string] {
  const at = text.indexOf(':');
  if (at < 1) throw new Error(`--header is ${JSON.stringify(text)}: write 'name: value'`);
  return [text.slice(0, at).toLowerCase(), text.slice(at + 1).trim()];
}
