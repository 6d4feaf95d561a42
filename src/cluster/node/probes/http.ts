import { isIPv6 } from 'node:net';
import type { HttpGetAction } from '../../../api/core/container.ts';
import { timerMaxMs } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { readSome } from '../../../lib/http-body.ts';
import { HttpClient, type Target } from '../../../lib/http-client.ts';
import { kubernetesVersion } from '../../kubernetes-version.ts';

export interface HttpGet {
  httpGet: HttpGetAction;
  host: string;
  port: number;
  timeoutMs: number;
  /** What asks: `probe` or `lifecycle`. */
  purpose: 'probe' | 'lifecycle';
}

export interface HttpReply {
  status: number;
  /** The beginning of its body. */
  body: string;
}

const redirectsMax = 10;
const bodyMaxBytes = 10 * 1024;

/**
 * Asks as kubelet does (pkg/probe/http): redirects to the same host are followed, one to another host is the reply.
 * Throws what is not there to be asked.
 */
export async function getHttp({ httpGet, host, port, purpose, ...rest }: HttpGet): Promise<HttpReply> {
  const timeoutMs = Math.min(rest.timeoutMs, timerMaxMs);
  const endsAtMs = performance.now() + timeoutMs;
  let target = targetOf(httpGet, host, port);
  const headers = headersOf(httpGet, purpose);
  const client = new HttpClient();
  try {
    for (let redirects = 0; ; redirects++) {
      const leftMs = Math.max(1, Math.ceil(endsAtMs - performance.now()));
      const request = { method: 'GET', target, headers, isRepeatable: false, headMs: redirects ? leftMs : timeoutMs };
      const response = await client.send(request);
      const { statusCode: status = 0, headers: fields } = response;
      const next = status >= 300 && status < 400 ? redirected(target, fields.location) : undefined;
      if (!next || next.host !== target.host) {
        const late = setTimeout(() => response.destroy(), leftMs);
        const body = status >= 300 && status < 400 ? await readSome(response, bodyMaxBytes) : '';
        clearTimeout(late);
        response.destroy();
        return { status, body };
      }
      response.destroy();
      if (redirects === redirectsMax) throw new Error(`stopped after ${redirectsMax} redirects`);
      target = next;
    }
  } catch (error) {
    throw new Error(`Get "${urlOf(target)}": ${describe(error, target)}`, { cause: error });
  } finally {
    client.close();
  }
}

function targetOf(httpGet: HttpGetAction, host: string, port: number): Target {
  const own = httpGet.httpHeaders?.find(({ name }) => name.toLowerCase() === 'host')?.value;
  return {
    isTls: httpGet.scheme === 'HTTPS',
    host,
    port,
    path: httpGet.path || '/',
    authority: own ?? `${isIPv6(host) ? `[${host}]` : host}:${port}`,
    tls: { rejectUnauthorized: false },
  };
}

/** Names and values in turn; an empty Accept is none. */
function headersOf({ httpHeaders = [] }: HttpGetAction, purpose: string): string[] {
  const agent = `kube-${purpose}/${kubernetesVersion.major}.${kubernetesVersion.minor}`;
  const given = new Set(httpHeaders.map(({ name }) => name.toLowerCase()));
  const own = httpHeaders.filter(({ name, value }) => {
    const lower = name.toLowerCase();
    return lower !== 'host' && !(lower === 'accept' && value === '');
  });
  return [
    ...(given.has('user-agent') ? [] : ['user-agent', agent]),
    ...(given.has('accept') ? [] : ['accept', '*/*']),
    ...own.flatMap(({ name, value }) => [name.toLowerCase(), value]),
  ];
}

/** Where a redirect leads; undefined when it leads nowhere that could be asked. */
function redirected(from: Target, location: string | undefined): Target | undefined {
  if (location === undefined || !URL.canParse(location, urlOf(from))) return undefined;
  const { protocol, hostname, port, pathname, search, host } = new URL(location, urlOf(from));
  if (protocol !== 'http:' && protocol !== 'https:') return undefined;
  const isTls = protocol === 'https:';
  return {
    ...from,
    isTls,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port) || (isTls ? 443 : 80),
    path: pathname + search,
    authority: host,
  };
}

function urlOf({ isTls, host, port, path }: Target): string {
  return `${isTls ? 'https' : 'http'}://${isIPv6(host) ? `[${host}]` : host}:${port}${path}`;
}

/** A failure as Go says it. */
export function describe(error: unknown, { host, port }: Pick<Target, 'host' | 'port'>): string {
  if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') {
    return `dial tcp ${isIPv6(host) ? `[${host}]` : host}:${port}: connect: connection refused`;
  }
  const text = messageOf(error);
  if (!/^no reply within/.test(text)) return text;
  return 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
}
