import type { IncomingMessage } from 'node:http';
import { messageOf } from '../lib/errors.ts';
import { discard, readWhole } from '../lib/http-body.ts';

export interface Credentials {
  username: string;
  password: string;
  /** In their place, what a token service gives access tokens for (OAuth 2.0, RFC 6749 §6). */
  identityToken?: string;
}

/** What to send as Authorization, and until when (by `performance.now()`). */
export interface Authorization {
  header: string;
  untilMs: number;
}

type Send = (request: {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Buffer;
}) => Promise<IncomingMessage>;

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
): Promise<Authorization | undefined> {
  const challenge = parseChallenge(header ?? '');
  if (!challenge) return undefined;
  if (challenge.scheme === 'basic') {
    return credentials && { header: basic(credentials), untilMs: Number.POSITIVE_INFINITY };
  }
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

/** Of a token that does not say (Docker's token protocol). */
const tokenSeconds = 60;
/** Used no more so long before its end: it has a way to go. */
const tokenMarginMs = 10_000;

async function bearer(
  { realm, service, scope }: Record<string, string>,
  credentials: Credentials | undefined,
  wantedScope: string,
  registryUrl: string,
  send: Send,
): Promise<Authorization | undefined> {
  const url = URL.parse(realm ?? '');
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  if (credentials && url.protocol === 'http:' && registryUrl.startsWith('https:')) {
    throw new Error(`the registry wants the password sent to ${url.host} without TLS: refused`);
  }
  const parameters = { ...(service !== undefined && { service }), scope: scope ?? wantedScope };
  const askedMs = performance.now();
  const response = await send(tokenRequest(url, parameters, credentials));
  if (response.statusCode !== 200) {
    discard(response);
    throw new Error(`${url.origin} gave no token: status ${response.statusCode}`);
  }
  const { token, seconds } = tokenOf(await readWhole(response, 1024 * 1024), url.origin);
  return { header: `Bearer ${token}`, untilMs: askedMs + Math.max(tokenSeconds, seconds) * 1000 - tokenMarginMs };
}

function tokenRequest(url: URL, parameters: Record<string, string>, credentials: Credentials | undefined) {
  if (credentials?.identityToken !== undefined) {
    const grant = { grant_type: 'refresh_token', refresh_token: credentials.identityToken, client_id: 'kittiwake' };
    const body = Buffer.from(new URLSearchParams({ ...grant, ...parameters }).toString());
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return { method: 'POST', url: url.href, headers, body };
  }
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const headers: Record<string, string> = credentials ? { authorization: basic(credentials) } : {};
  return { method: 'GET', url: url.href, headers };
}

function tokenOf(body: Buffer, from: string): { token: string; seconds: number } {
  let answer: { token?: unknown; access_token?: unknown; expires_in?: unknown } | null;
  try {
    answer = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new Error(`${from} gave no token: ${messageOf(error).slice(0, 200)}`, { cause: error });
  }
  const token = answer?.token ?? answer?.access_token;
  if (typeof token === 'string' && token.length <= tokenCharsMax && /^[\x21-\x7e]+$/.test(token)) {
    const { expires_in: seconds } = answer ?? {};
    return { token, seconds: typeof seconds === 'number' && seconds > 0 ? Math.min(seconds, tokenSecondsMax) : 0 };
  }
  throw new Error(`${from} gave no token that can be sent in a header`);
}

/** A day: whoever says longer is asked again. */
const tokenSecondsMax = 86_400;
