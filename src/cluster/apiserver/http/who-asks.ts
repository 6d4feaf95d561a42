import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { forbidden } from '../../../api/status.ts';
import { authenticatedGroup, type UserInfo } from '../../../api/user.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';

/**
 * Who the client's certificate says it is, or else its token; undefined when it shows neither, or a token that is not
 * good (any more). 403 for who wants to be somebody else: it would be done with the rights that were to be left out.
 */
export function whoAsks(request: IncomingMessage, tokens?: ServiceAccountTokens): UserInfo | undefined {
  const user = holderOf(request) ?? bearerOf(request, tokens);
  const asked = impersonation.find((name) => request.headers[name] !== undefined);
  if (!user || asked === undefined) return user;
  const who = `User ${JSON.stringify(user.name)} cannot impersonate ${JSON.stringify(request.headers[asked])}`;
  throw forbidden(undefined, '', `${who} (${asked}): this API server lets nobody act as somebody else`);
}

const impersonation = ['impersonate-user', 'impersonate-group', 'impersonate-uid'];

/** Whom the token in the request stands for. */
function bearerOf({ headers }: IncomingMessage, tokens?: ServiceAccountTokens): UserInfo | undefined {
  const token = /^bearer +([^ ]+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (token === undefined || !tokens) return undefined;
  const answer = tokens.authenticate(token);
  return 'user' in answer ? answer.user : undefined;
}

const users = new WeakMap<object, UserInfo>();

/** Who the client's certificate says it is; undefined without one that the authority signed. */
function holderOf(request: IncomingMessage): UserInfo | undefined {
  // One session carries many HTTP/2 requests; its socket is a proxy that differs for each.
  const { stream } = request as { stream?: { session?: object } };
  const connection = stream?.session ?? request.socket;
  const known = users.get(connection);
  if (known) return known;
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  if (!subject?.CN) return undefined;
  const user = { name: `${subject.CN}`, groups: [subject.O ?? [], authenticatedGroup].flat() };
  users.set(connection, user);
  return user;
}
