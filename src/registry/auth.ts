import { readAll, type Transport } from './transport.ts';

export interface Credentials {
  username: string;
  password: string;
}

interface Challenge {
  scheme: 'basic' | 'bearer';
  parameters: Record<string, string>;
}

/**
 * The Authorization header that answers a registry's 401 (RFC 7617 Basic, and Docker's token protocol for Bearer).
 * Undefined when nothing that we have would help.
 */
export async function answerChallenge(
  header: string | undefined,
  credentials: Credentials | undefined,
  scope: string,
  transport: Transport,
): Promise<string | undefined> {
  const challenge = parseChallenge(header ?? '');
  if (!challenge) return undefined;
  if (challenge.scheme === 'basic') return credentials && basic(credentials);
  return bearer(challenge.parameters, credentials, scope, transport);
}

/** The first challenge of a WWW-Authenticate header that we can answer. */
export function parseChallenge(header: string): Challenge | undefined {
  const match = /(?:^|,\s*)(basic|bearer)(?:\s+|$)(.*)/i.exec(header);
  if (!match) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name, quoted, plain] of (match[2] ?? '').matchAll(/([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))/gi)) {
    if (name) parameters[name.toLowerCase()] = quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1');
  }
  return { scheme: match[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer', parameters };
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

async function bearer(
  { realm, service, scope }: Record<string, string>,
  credentials: Credentials | undefined,
  wantedScope: string,
  transport: Transport,
): Promise<string | undefined> {
  if (realm === undefined || !/^https?:\/\//.test(realm)) return undefined;
  const url = new URL(realm);
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope ?? wantedScope);
  const headers: Record<string, string> = credentials ? { authorization: basic(credentials) } : {};
  const response = await transport.send({ method: 'GET', url: url.href, headers });
  const body = (await readAll(response, 1024 * 1024)).toString('utf8');
  if (response.statusCode !== 200) {
    throw new Error(`${realm} gave no token: ${response.statusCode} ${body.slice(0, 200)}`);
  }
  const answer = JSON.parse(body) as { token?: string; access_token?: string };
  const token = answer.token ?? answer.access_token;
  return token === undefined ? undefined : `Bearer ${token}`;
}
