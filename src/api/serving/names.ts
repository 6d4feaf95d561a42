/** Labels and annotations of Serving's objects, with Knative's names (knative/serving pkg/apis/serving/register.go). */
export const servingGroup = 'serving.knative.dev';

/** Where the operator's ConfigMaps, the gateways' Leases and Serving's own account are. */
export const systemNamespace = 'knative-serving';

/** The gateway's Service in it. */
export const gatewayServiceName = 'kittiwake-gateway';

export const labels = {
  /** On what a Service owns. */
  service: `${servingGroup}/service`,
  serviceUid: `${servingGroup}/serviceUID`,
  configuration: `${servingGroup}/configuration`,
  configurationUid: `${servingGroup}/configurationUID`,
  /** The generation of the Configuration that a Revision was made from, in decimal. */
  configurationGeneration: `${servingGroup}/configurationGeneration`,
  revision: `${servingGroup}/revision`,
  revisionUid: `${servingGroup}/revisionUID`,
  route: `${servingGroup}/route`,
  routeNamespace: `${servingGroup}/routeNamespace`,
  /** On a Revision: `pending`, `active` (a Route sends to it) or `reserve`. */
  routingState: `${servingGroup}/routingState`,
} as const;

export const annotations = {
  creator: `${servingGroup}/creator`,
  lastModifier: `${servingGroup}/lastModifier`,
  /** On a Revision: the Routes that send to it, separated by commas. */
  routes: `${servingGroup}/routes`,
  routingStateModified: `${servingGroup}/routingStateModified`,
  /** `true` keeps a Revision from being collected. */
  noGc: `${servingGroup}/no-gc`,
  rolloutDuration: `${servingGroup}/rollout-duration`,
  progressDeadline: `${servingGroup}/progress-deadline`,
} as const;

/** The container image of a template whose image a build produces. */
export const buildOutputImage = 'build://output';
