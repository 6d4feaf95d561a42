import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Connection } from './connection.ts';

/** Where each pod finds its service account's token, its CA and its namespace. */
const accountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface PodEnvironment {
  /** The process's unless given. */
  environment?: NodeJS.ProcessEnv;
  dir?: string;
}

/**
 * How a process in a pod reaches the API server of its cluster, and as whom. To be asked again: the token is replaced
 * every hour or so, and the old one is refused some time after.
 */
export async function inCluster(options: PodEnvironment = {}): Promise<Connection> {
  const { environment = process.env, dir = accountDir } = options;
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (!host || !port) {
    throw new Error(
      'this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a kubeconfig',
    );
  }
  const read = (name: string) => readFile(join(dir, name), 'utf8');
  const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
  return { server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`, ca, token: token.trim() };
}

/** The namespace of the pod that this process runs in. */
export async function ownNamespace({ dir = accountDir }: PodEnvironment = {}): Promise<string> {
  return (await readFile(join(dir, 'namespace'), 'utf8')).trim();
}
