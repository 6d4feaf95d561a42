import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { conditionOf } from '../api/meta.ts';
import { clusterDomain } from '../api/names.ts';
import { ServiceKind } from '../api/serving/service.ts';
import { HttpClient, NoReplyError, targetOf } from '../lib/http-client.ts';
import { type CommonOptions, runningPlatform } from './platform.ts';
import { parseSeconds } from './seconds.ts';
import { readData } from './send.ts';
import { harmless, say } from './terminal.ts';

export interface InvokeOptions {
  namespace: string;
  method?: string;
  path: string;
  data?: string;
  header?: string[];
  timeout: string;
}

/** `kittiwake invoke`: one request through the gateway; the reply's body goes to standard output. Fails from 400 on. */
export async function invoke(common: CommonOptions, name: string, options: InvokeOptions): Promise<void> {
  const { addresses, client } = runningPlatform(common);
  const { namespace } = options;
  const service = await client.get(ServiceKind, { namespace, name });
  if (!service) throw new Error(`there is no service ${name} in namespace ${namespace}: see 'kittiwake get ksvc'`);
  const body = options.data === undefined ? undefined : await readData(options.data);
  const headers = Object.fromEntries((options.header ?? []).map(parseHeader));
  const timeoutMs = parseSeconds('--timeout', options.timeout) * 1000;
  const startedMs = performance.now();
  const explain = (error: unknown) => {
    if (!(error instanceof NoReplyError) || error.code !== 'TIMEOUT') return error;
    const remedy = `see 'kittiwake logs ${name}', or wait longer with --timeout`;
    return new Error(`service ${name} was silent for ${options.timeout} s: ${remedy}`);
  };
  // The cluster-local name reaches every service, also those without a public one. How long the body is, is known.
  const { host = `${name}.${namespace}.${clusterDomain}`, 'content-length': _, ...further } = headers;
  const request = new HttpClient().send({
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    target: { ...targetOf(addresses.gatewayUrl), path: options.path.replace(/^(?!\/)/, '/'), authority: host },
    headers: Object.entries({ ...jsonWhenBody(body), ...further }).flat(),
    body,
    isRepeatable: false,
    // Also while the body comes: it may take as long as it likes, but not be silent.
    silenceMs: timeoutMs,
  });
  const response = await request.catch((error) => {
    throw explain(error);
  });
  const status = response.statusCode ?? 0;
  say(`HTTP ${status} in ${Math.round(performance.now() - startedMs)} ms`);
  if (status >= 400) process.exitCode = 1;
  await printBody(response).catch((error) => {
    throw explain(response.errored ?? error);
  });
  const ready = conditionOf(service, 'Ready');
  if (process.exitCode === 1 && ready?.status !== 'True')
    say(`service ${name} is not ready: ${ready?.message ?? ready?.reason ?? 'nothing is known of it yet'}`);
}

/** Byte for byte, as it comes; a terminal gets text that cannot drive it, and ends with a whole line. */
async function printBody(response: IncomingMessage): Promise<void> {
  const { stdout } = process;
  if (!stdout.isTTY) {
    await pipeline(response, stdout, { end: false });
    return;
  }
  let last = '\n';
  for await (const text of response.setEncoding('utf8')) {
    last = String(text).at(-1) ?? last;
    if (!stdout.write(harmless(String(text)))) await once(stdout, 'drain');
  }
  if (last !== '\n') stdout.write('\n');
}

const jsonWhenBody = (body: Buffer | undefined): Record<string, string> =>
  body === undefined ? {} : { 'content-type': 'application/json' };

function parseHeader(text: string): [string, string] {
  const at = text.indexOf(':');
  if (at < 1) throw new Error(`--header is ${JSON.stringify(text)}: write 'name: value'`);
  return [text.slice(0, at).toLowerCase(), text.slice(at + 1).trim()];
}
