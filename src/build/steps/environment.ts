import { delimiter, dirname } from 'node:path';

/** How this machine reaches the network, which tools that fetch must know. */
const networkVariables = [
  'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy',
  'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'GIT_SSL_CAINFO', 'CURL_CA_BUNDLE',
]; // biome-ignore format: a list of names

/** The environment of a build step: small, the same on every machine, the pinned Node first in PATH. */
export function stepEnvironment(home: string, extra: Record<string, string> = {}): Record<string, string> {
  const path = [dirname(process.execPath), process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'].join(delimiter);
  return { PATH: path, HOME: home, TMPDIR: home, LANG: 'C.UTF-8', CI: 'true', NO_COLOR: '1', ...extra };
}

/** The variables of `networkVariables` that are set here. */
export function networkEnvironment(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of networkVariables) {
    const value = process.env[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}
