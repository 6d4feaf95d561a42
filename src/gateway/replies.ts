/** The replies that the gateway gives by itself, all as text/plain with a remedy where there is one. */
import { releaseCommand } from '../lib/quarantine.ts';
import { gatewayErrors } from './errors.ts';

export interface Reply {
  status: number;
  body: string;
  /** Complete lines. */
  fields?: string;
}

export const noRoute = (host: string): Reply => ({
  status: 404,
  body:
    `no route for host "${host}": 'kittiwake get ksvc -A' lists those served, ` +
    'and why others are not (a new one takes a moment)',
});

export const noPath = (host: string): Reply => ({
  status: 404,
  body: `no route of host "${host}" matches this path and these header fields`,
});

export const goingRound = (host: string): Reply => ({
  status: 508,
  body: `the request goes round: the route of host "${host}" leads back to itself`,
});

const tryLater = (why: string): Reply => ({
  status: 503,
  fields: 'Retry-After: 1\r\n',
  body: `${why}: try again later`,
});

export const queueFull = (revision: string) => tryLater(`too many requests wait for ${revision}`);
export const reroutedTooOften = tryLater('the route of this request changed too often while it waited');
export const tooManyConnections = tryLater('too many connections');
export const overloaded = tryLater('too much waits in the gateway');

export const internalError: Reply = {
  status: 500,
  body: 'the gateway failed at this request: its log says why (logs/gateway.log in the data folder)',
};

export function setAside(work: string): Reply {
  const { status, message } = gatewayErrors.REQUEST_SET_ASIDE({ command: releaseCommand('gateway', work) });
  return { status, body: message };
}

/** The words of Knative's queue-proxy. */
export const requestTimeout: Reply = { status: 504, body: 'request timeout' };

export const headTimeout: Reply = { status: 408, body: 'the request head did not arrive in time' };

export const bodyTooLarge = (bytes: number): Reply => ({
  status: 413,
  body: `the request body is larger than ${bytes} bytes`,
});

export const badGateway = (revision: string, why: string): Reply => ({
  status: 502,
  body: `${revision} did not give a valid reply: ${why}`,
});
