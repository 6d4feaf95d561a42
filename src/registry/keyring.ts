import type { Credentials } from './auth.ts';

/** Credentials, and for which images they are: `HOST[:PORT][/PATH]`, where parts of the host may hold `*`. */
export interface KeyringEntry {
  place: string;
  credentials: Credentials;
}

/** Far more than anybody has; each is looked at for each pull. */
const entriesMax = 1_000;

/**
 * The entries of a Docker configuration: `{"auths": {PLACE: …}}` (kubernetes.io/dockerconfigjson)
 * or `{PLACE: …}` alone (kubernetes.io/dockercfg). What is not valid is left out, as the kubelet does. The text itself
 * must be JSON.
 */
export function readDockerConfig(text: string): KeyringEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON'); // What JSON.parse says quotes it.
  }
  const top = asObject(value);
  const entries = asObject(top.auths ?? ('credHelpers' in top || 'credsStore' in top ? {} : top));
  return Object.entries(entries)
    .slice(0, entriesMax)
    .flatMap(([place, said]) => {
      const credentials = credentialsOf(asObject(said));
      return credentials ? [{ place: placeOf(place), credentials }] : [];
    });
}

/**
 * The credentials for images of `host/name`, the most particular place first, as the kubelet finds them
 * (pkg/credentialprovider): the host part by part with `*` within a part, the same port, the path as a beginning.
 * Docker Hub's old name stands for docker.io where nothing else does.
 */
export function credentialsFor(entries: readonly KeyringEntry[], image: { host: string; name: string }): Credentials[] {
  const sorted = [...entries].sort((a, b) => (a.place < b.place ? 1 : a.place > b.place ? -1 : 0));
  const found = sorted.filter(({ place }) => matches(place, image));
  const isHub = found.length === 0 && image.host === 'docker.io';
  const chosen = isHub
    ? entries.filter(({ place }) => /^(index\.docker\.io|registry-1\.docker\.io)$/.test(place))
    : found;
  return chosen.map(({ credentials }) => credentials);
}

/** Without the scheme, and without `/v1/` and `/v2/`, which stand for the host. */
export function placeOf(text: string): string {
  const [host = '', ...path] = text.replace(/^https?:\/\//, '').split('/');
  const rest = path.filter((part, index) => !(index === 0 && (part === 'v1' || part === 'v2'))).join('/');
  return rest.replace(/\/+$/, '') === '' ? host : `${host}/${rest}`;
}

function matches(place: string, { host, name }: { host: string; name: string }): boolean {
  const slash = place.indexOf('/');
  const [wanted, path] = slash < 0 ? [place, ''] : [place.slice(0, slash), place.slice(slash + 1)];
  if (!name.startsWith(path)) return false;
  const [wantedName = '', wantedPort = ''] = splitPort(wanted);
  const [hostName = '', port = ''] = splitPort(host);
  const parts = hostName.split('.');
  const patterns = wantedName.split('.');
  if (port !== wantedPort || parts.length !== patterns.length) return false;
  return patterns.every((pattern, index) => matchesPart(pattern, parts[index] ?? ''));
}

function splitPort(host: string): string[] {
  return /^(.*?)(?::(\d+))?$/.exec(host)?.slice(1) ?? [host];
}

/** Where `*` stands for any characters: at each, the shortest that lets the rest fit. */
function matchesPart(pattern: string, text: string): boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const between of others) {
    const found = text.indexOf(between, at);
    if (found < 0 || found + between.length > end) return false;
    at = found + between.length;
  }
  return true;
}

function credentialsOf(said: Record<string, unknown>): Credentials | undefined {
  const { auth, username, password, identitytoken } = said;
  const identity = typeof identitytoken === 'string' && identitytoken !== '' ? { identityToken: identitytoken } : {};
  if (typeof username === 'string' && username !== '' && typeof password === 'string') {
    return { username, password, ...identity };
  }
  const decoded = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  if (colon > 0) {
    // Some writers pad the password with NULs.
    return {
      username: decoded.slice(0, colon),
      password: decoded.slice(colon + 1).replace(/^\0+|\0+$/g, ''),
      ...identity,
    };
  }
  return identity.identityToken === undefined ? undefined : { username: '', password: '', ...identity };
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
