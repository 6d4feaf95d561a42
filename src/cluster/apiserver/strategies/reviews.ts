import { defineKind } from '../../../api/kind.ts';
import { type KubeObject, timestamp } from '../../../api/meta.ts';
import { anything, object } from '../../../api/schema.ts';
import { badRequest } from '../../../api/status.ts';
import type { UserInfo } from '../../../api/user.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Attributes, Policy } from '../authorize.ts';
import type { ServiceAccountTokens } from '../identity/service-account-tokens.ts';
import type { RbacAuthorizer } from '../rbac/authorizer.ts';
import type { NamedRequest } from '../request-info.ts';
import type { Strategy } from '../strategy.ts';

/** Questions about who asks and what they may do: the policy that guards the door answers them. */
export const reviews = (
  clock: Clock,
  tokens?: ServiceAccountTokens,
  rbac?: Pick<RbacAuthorizer, 'rulesFor'>,
): readonly Strategy[] => [
  review(clock, 'authentication.k8s.io', 'SelfSubjectReview', (_, user) => ({ userInfo: described(user) })),
  review(clock, 'authentication.k8s.io', 'TokenReview', (_, __, spec) => authentication(tokens, spec)),
  review(clock, 'authorization.k8s.io', 'SelfSubjectAccessReview', access),
  review(clock, 'authorization.k8s.io', 'SelfSubjectRulesReview', (policy, user, spec) =>
    rbac ? rulesOf(rbac, user, spec) : rules(policy, user),
  ),
  review(clock, 'authorization.k8s.io', 'SubjectAccessReview', accessOfOther),
  review(clock, 'authorization.k8s.io', 'LocalSubjectAccessReview', accessOfOther, true),
];

const accessOfOther: StatusFor = (policy, _, spec, request) => {
  const { namespace } = spec.resourceAttributes ?? {};
  if (request.namespace !== undefined && namespace !== request.namespace) {
    throw badRequest('spec.resourceAttributes.namespace must match the namespace of the review');
  }
  return access(policy, { name: text(spec.user), groups: texts(spec.groups) }, spec);
};

function rulesOf(rbac: Pick<RbacAuthorizer, 'rulesFor'>, user: UserInfo, { namespace }: ReviewSpec): object {
  const all = rbac.rulesFor(user, text(namespace) || undefined);
  return {
    incomplete: false,
    resourceRules: all.filter(({ resources }) => resources?.length),
    nonResourceRules: all.filter(({ nonResourceURLs }) => nonResourceURLs?.length),
  };
}

type StatusFor = (policy: Policy, user: UserInfo, spec: ReviewSpec, request: NamedRequest) => object;

/** As a client sends it: of any shape. */
interface ReviewSpec {
  resourceAttributes?: Record<string, unknown>;
  nonResourceAttributes?: Record<string, unknown>;
  user?: unknown;
  groups?: unknown;
  namespace?: unknown;
  token?: unknown;
  audiences?: unknown;
}

const described = ({ name: username, uid, groups, extra }: UserInfo) => ({
  username,
  ...(uid !== undefined && { uid }),
  groups,
  ...(extra && { extra }),
});

/** Whom a token stands for, and for which of the audiences that are asked about it is. */
function authentication(tokens: ServiceAccountTokens | undefined, spec: ReviewSpec): object {
  const token = text(spec.token);
  if (token === '') throw badRequest('token is required for TokenReview in authentication');
  const audiences = texts(spec.audiences);
  const answer = tokens?.authenticate(token, ...(audiences.length > 0 ? [audiences] : []));
  if (!answer || 'error' in answer) return { authenticated: false, user: {}, error: answer?.error ?? 'no tokens' };
  return { authenticated: true, user: described(answer.user), audiences: answer.audiences };
}

const texts = (value: unknown): string[] => [value ?? []].flat().map(text);

/** Anything else than text says nothing. */
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function access(policy: Policy, user: UserInfo, spec: ReviewSpec): object {
  const { isAllowed: allowed, reason } = policy(attributesOf(user, spec));
  return { allowed, ...(reason && { reason }) };
}

function attributesOf(user: UserInfo, { resourceAttributes, nonResourceAttributes }: ReviewSpec): Attributes {
  if (!resourceAttributes) {
    return { user, verb: text(nonResourceAttributes?.verb), path: text(nonResourceAttributes?.path) };
  }
  const { verb, group, resource, subresource, namespace, name } = resourceAttributes;
  return {
    user,
    verb: text(verb),
    resource: { kind: { group: text(group), version: '', plural: text(resource) } },
    subresource: text(subresource) || undefined,
    namespace: text(namespace) || undefined,
    name: text(name) || undefined,
  };
}

/** A policy can only be asked about one thing at a time: about everything, here. */
function rules(policy: Policy, user: UserInfo): object {
  const all = { verb: '*', group: '*', resource: '*' };
  const { isAllowed } = policy(attributesOf(user, { resourceAttributes: all }));
  return {
    incomplete: !isAllowed,
    resourceRules: isAllowed ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] : [],
    nonResourceRules: isAllowed ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : [],
  };
}

/** Answers with what was sent, and the status. */
function review(clock: Clock, group: string, kind: string, statusFor: StatusFor, isNamespaced = false): Strategy {
  const schema = object({ spec: anything(), status: anything() });
  return {
    kind: defineKind({ group, version: 'v1', kind, isNamespaced, hasStatus: false, schema }),
    action: {
      type: 'action',
      verbs: ['create'],
      async run(body, request, { policy }) {
        if (typeof body !== 'object' || body === null) throw badRequest('the body must be a review');
        const { spec } = body as { spec?: ReviewSpec };
        const metadata = { creationTimestamp: timestamp(clock.now()) };
        const status = statusFor(policy, request.user, spec ?? {}, request);
        const answer = { apiVersion: `${group}/v1`, kind, metadata, spec, status };
        return answer as unknown as KubeObject;
      },
    },
  };
}
