import type { DiscoveredResource } from './discovery.ts';

const review = (group: string, kind: string): DiscoveredResource => ({
  group,
  version: 'v1',
  kind,
  plural: `${kind.toLowerCase()}s`,
  singular: kind.toLowerCase(),
  isNamespaced: false,
  verbs: ['create'],
  shortNames: [],
  categories: [],
  subresources: [],
});

/** Resources that are answered and never stored. */
export const virtualResources: readonly DiscoveredResource[] = [
  review('authentication.k8s.io', 'SelfSubjectReview'),
  review('authorization.k8s.io', 'SelfSubjectAccessReview'),
  review('authorization.k8s.io', 'SelfSubjectRulesReview'),
  review('authorization.k8s.io', 'SubjectAccessReview'),
];
