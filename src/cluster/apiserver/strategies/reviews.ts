import { defineKind } from '../../../api/kind.ts';
import { type KubeObject, timestamp } from '../../../api/meta.ts';
import { anything, object } from '../../../api/schema.ts';
import { badRequest } from '../../../api/status.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { UserInfo } from '../request-info.ts';
import type { Strategy } from '../strategy.ts';

/** Questions about who asks and what they may do: every client that holds a certificate may do everything. */
export const reviews = (clock: Clock): readonly Strategy[] => [
  review(clock, 'authentication.k8s.io', 'SelfSubjectReview', ({ name, groups }) => ({
    userInfo: { username: name, groups: [...groups, 'system:authenticated'] },
  })),
  review(clock, 'authorization.k8s.io', 'SelfSubjectAccessReview', () => allowed),
  review(clock, 'authorization.k8s.io', 'SelfSubjectRulesReview', () => ({
    incomplete: false,
    resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
  })),
  review(clock, 'authorization.k8s.io', 'SubjectAccessReview', () => allowed),
];

const allowed = { allowed: true, reason: 'clients of this API server may do everything' };

/** Answers with what was sent, and the status. */
function review(clock: Clock, group: string, kind: string, statusFor: (user: UserInfo) => object): Strategy {
  const schema = object({ spec: anything(), status: anything() });
  return {
    kind: defineKind({ group, version: 'v1', kind, isNamespaced: false, hasStatus: false, schema }),
    action: {
      type: 'action',
      verbs: ['create'],
      async run(body, { user }) {
        if (typeof body !== 'object' || body === null) throw badRequest('the body must be a review');
        const { spec } = body as { spec?: object };
        const metadata = { creationTimestamp: timestamp(clock.now()) };
        const answer = { apiVersion: `${group}/v1`, kind, metadata, spec, status: statusFor(user) };
        return answer as unknown as KubeObject;
      },
    },
  };
}
