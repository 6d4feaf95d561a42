import { request } from 'node:http';
import type { TestPlatform } from './platform.ts';

export interface Reply {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** One request through the gateway to a service in `default`, by its public or else its cluster-local name. */
export function fetchThroughGateway(
  { addresses }: { addresses: Pick<TestPlatform['addresses'], 'gatewayUrl'> },
  service: string,
  path = '/',
  options: { method?: string; headers?: Record<string, string>; body?: string; host?: string } = {},
): Promise<Reply> {
  const host = options.host ?? `${service}.default.svc.cluster.local`;
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, addresses.gatewayUrl), {
      method: options.method ?? 'GET',
      headers: { host, 'content-type': 'application/json', ...options.headers },
      agent: false,
    });
    outgoing.once('error', reject);
    outgoing.once('response', async (response) => {
      let body = '';
      try {
        for await (const chunk of response) body += chunk;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      } catch (error) {
        reject(error);
      }
    });
    outgoing.end(options.body);
  });
}
