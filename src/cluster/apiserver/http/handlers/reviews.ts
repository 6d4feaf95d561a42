import { timestamp } from '../../../../api/meta.ts';
import { badRequest } from '../../../../api/status.ts';
import type { UserInfo } from '../../request-info.ts';
import { decodeObject } from '../body/decode.ts';
import { readBody } from '../body/read.ts';
import type { Exchange } from '../exchange.ts';
import { sendObject } from '../respond.ts';

const allowed = { allowed: true, reason: 'clients of this API server may do everything' };

/** What each review answers: every client that holds a certificate may do everything. */
const reviews: Record<string, (user: UserInfo) => object> = {
  selfsubjectaccessreviews: () => allowed,
  subjectaccessreviews: () => allowed,
  selfsubjectrulesreviews: () => ({
    incomplete: false,
    resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
  }),
  selfsubjectreviews: (user) => ({
    userInfo: { username: user.name, groups: [...user.groups, 'system:authenticated'] },
  }),
};

/** Answers a review of authentication or authorization: the object that was sent, with its status. */
export async function serveReview(exchange: Exchange, plural: string, nowMs: number): Promise<void> {
  const review = reviews[plural];
  const { value } = decodeObject(await readBody(exchange), exchange.request.headers['content-type']);
  if (typeof value !== 'object' || value === null || !review) throw badRequest('the body must be a review');
  const { apiVersion, kind, spec } = value as { apiVersion?: string; kind?: string; spec?: object };
  const metadata = { creationTimestamp: timestamp(nowMs) };
  return sendObject(exchange, { apiVersion, kind, metadata, spec, status: review(exchange.user) }, { code: 201 });
}
