import type { IncomingMessage } from 'node:http';
import { messageOf } from '../lib/errors.ts';
import { discard, readWhole } from '../lib/http-body.ts';

export interface Credentials {
  username: string;
  password: string;
}

type Send = (request: { method: string; url: string; headers: Record<string, string> }) => Promise<IncomingMessage>;

interface Challenge {
  scheme: 'basic' | 'bearer';
  parameters: Record<string, string>;
}

/**
 * The Authorization header that answers a registry's 401 (RFC 7617 Basic, and Docker's token protocol for Bearer).
 * Undefined when nothing that we have would help. Throws an Error that names who should have given a token.
 */
export async function answerChallenge(
  header: string | undefined,
  credentials: Credentials | undefined,
  scope: string,
  registryUrl: string,
  send: Send,
): Promise<string | undefined> {
  const challenge = parseChallenge(header ?? '');
  if (!challenge) return undefined;
  if (challenge.scheme === 'basic') return credentials && basic(credentials);
  return bearer(challenge.parameters, credentials, scope, registryUrl, send);
}

/** The first challenge of a WWW-Authenticate header that we can answer. */
export function parseChallenge(header: string): Challenge | undefined {
  const match = /(?:^|,\s*)(basic|bearer)(?:\s+|$)(.*)/i.exec(header);
  if (!match) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name, quoted, plain] of (match[2] ?? '').matchAll(
    /(?<![a-z_])([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))/gi,
  )) {
    if (name) parameters[name.toLowerCase()] = quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1');
  }
  return { scheme: match[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer', parameters };
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/** Far more than any token has; it comes back in a header. */
const tokenCharsMax = 64 * 1024;

async function bearer(
  { realm, service, scope }: Record<string, string>,
  credentials: Credentials | undefined,
  wantedScope: string,
  registryUrl: string,
  send: Send,
): Promise<string | undefined> {
  const url = URL.parse(realm ?? '');
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  if (credentials && url.protocol === 'http:' && registryUrl.startsWith('https:')) {
    throw new Error(`the registry wants the password sent to ${url.host} without TLS: refused`);
  }
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope ?? wantedScope);
  const headers: Record<string, string> = credentials ? { authorization: basic(credentials) } : {};
  const response = await send({ method: 'GET', url: url.href, headers });
  if (response.statusCode !== 200) {
    discard(response);
    throw new Error(`${url.origin} gave no token: status ${response.statusCode}`);
  }
  const token = tokenOf(await readWhole(response, 1024 * 1024), url.origin);
  return `Bearer ${token}`;
}

function tokenOf(body: Buffer, from: string): string {
  let answer: { token?: unknown; access_token?: unknown } | null;
  try {
    answer = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new Error(`${from} gave no token: ${messageOf(error).slice(0, 200)}`, { cause: error });
  }
  const token = answer?.token ?? answer?.access_token;
  if (typeof token === 'string' && token.length <= tokenCharsMax && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error(`${from} gave no token that can be sent in a header`);
}
