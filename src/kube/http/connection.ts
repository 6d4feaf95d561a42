import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/** How to reach an API server, and as whom. PEM texts, not paths. */
export interface Connection {
  /** For example `https://127.0.0.1:7443`; a path in it is kept. */
  server: string;
  ca?: string;
  cert?: string;
  key?: string;
  /** A bearer token. */
  token?: string;
  /** The name to expect in the server's certificate, when it is not the host's. */
  serverName?: string;
  isInsecure?: boolean;
}

interface Kubeconfig {
  'current-context'?: string;
  clusters?: { name: string; cluster: KubeconfigCluster }[];
  users?: { name: string; user: KubeconfigUser }[];
  contexts?: { name: string; context: { cluster: string; user: string } }[];
}

interface KubeconfigCluster {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'tls-server-name'?: string;
  'insecure-skip-tls-verify'?: boolean;
}

interface KubeconfigUser {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  exec?: unknown;
  'auth-provider'?: unknown;
}

/** The connection that a kubeconfig's current context (or `contextName`) describes. Throws what is missing. */
export async function readKubeconfig(path: string, contextName?: string): Promise<Connection> {
  const config = await parse(path);
  const name = contextName ?? config['current-context'];
  const context = named(config.contexts, name, 'context', path).context;
  const { cluster } = named(config.clusters, context.cluster, 'cluster', path);
  const { user } = named(config.users, context.user, 'user', path);
  if (!cluster.server) throw new Error(`${path}: cluster "${context.cluster}" has no server`);
  if (user.exec !== undefined || user['auth-provider'] !== undefined) {
    throw new Error(
      `${path}: user "${context.user}" logs in through a plugin, which is not supported: use a token or a certificate`,
    );
  }
  const file = (given: string | undefined) =>
    given === undefined ? undefined : readFile(resolve(dirname(path), given), 'utf8');
  const [ca, cert, key, token] = await Promise.all([
    decoded(cluster['certificate-authority-data']) ?? file(cluster['certificate-authority']),
    decoded(user['client-certificate-data']) ?? file(user['client-certificate']),
    decoded(user['client-key-data']) ?? file(user['client-key']),
    user.token ?? file(user.tokenFile),
  ]);
  const connection: Connection = { server: cluster.server };
  if (ca !== undefined) connection.ca = ca;
  if (cert !== undefined) connection.cert = cert;
  if (key !== undefined) connection.key = key;
  if (token !== undefined) connection.token = token.trim();
  if (cluster['tls-server-name'] !== undefined) connection.serverName = cluster['tls-server-name'];
  if (cluster['insecure-skip-tls-verify']) connection.isInsecure = true;
  return connection;
}

async function parse(path: string): Promise<Kubeconfig> {
  // A pipe would be waited for, by each process that reads it, and these could not even be ended.
  if (!(await stat(path)).isFile()) throw new Error(`${path} is no file, as a kubeconfig has to be`);
  const text = await readFile(path, 'utf8');
  // Loaded only here: the gateway's and the broker's memory counts.
  const { parseYaml } = await import('../../lib/yaml.ts');
  const value = parseYaml(text, path)[0]?.value;
  if (typeof value !== 'object' || value === null) throw new Error(`${path} is not a kubeconfig`);
  return value as Kubeconfig;
}

function named<T extends { name: string }>(
  list: T[] | undefined,
  name: string | undefined,
  what: string,
  path: string,
) {
  const found = list?.find((entry) => entry.name === name);
  if (!found) throw new Error(`${path} has no ${what} "${name ?? ''}"`);
  return found;
}

const decoded = (base64: string | undefined) =>
  base64 === undefined ? undefined : Buffer.from(base64, 'base64').toString('utf8');
