import { conditionColumns, defineKind } from '../kind.ts';
import { type KubeObject, statusFields } from '../meta.ts';
import { array, boolean, integer, intOrString, map, object, string, type ValueOf } from '../schema.ts';

/** Names the ingress implementation that must serve an Ingress; ours is `kittiwakeIngressClass`. */
export const ingressClassAnnotation = 'networking.knative.dev/ingress.class';
export const kittiwakeIngressClass = 'kittiwake.ingress.networking.knative.dev';
/** Label with the value `cluster-local` on what must not be reachable from outside. */
export const visibilityLabel = 'networking.knative.dev/visibility';
export const clusterLocal = 'cluster-local';

const headers = map(string());

const splitSchema = object(
  {
    serviceNamespace: string(),
    serviceName: string(),
    servicePort: intOrString(),
    percent: integer({ minimum: 0, maximum: 100 }),
    /** Set on each request that goes this way, replacing what the client sent. */
    appendHeaders: headers,
  },
  { required: ['serviceName', 'serviceNamespace', 'servicePort'] },
);

/** A share of the requests of a path; the percents of a path sum to 100. */
export interface IngressSplit extends ValueOf<typeof splitSchema> {}

const pathSchema = object(
  {
    path: string(),
    headers: map(object({ exact: string() }, { required: ['exact'] })),
    rewriteHost: string(),
    appendHeaders: headers,
    splits: array(splitSchema),
  },
  { required: ['splits'] },
);

/** Paths are tried in order; `headers` must all match. */
export interface IngressPath extends ValueOf<typeof pathSchema> {}

const ruleSchema = object({
  hosts: array(string()),
  visibility: string({ enum: ['ExternalIP', 'ClusterLocal'] }),
  http: object({ paths: array(pathSchema) }, { required: ['paths'] }),
});

export interface IngressRule extends ValueOf<typeof ruleSchema> {}
export type IngressVisibility = NonNullable<IngressRule['visibility']>;

const loadBalancerSchema = object({
  ingress: array(object({ ip: string(), domain: string(), domainInternal: string(), meshOnly: boolean() })),
});

export interface LoadBalancerStatus extends ValueOf<typeof loadBalancerSchema> {}

const tlsSchema = object({ hosts: array(string()), secretName: string(), secretNamespace: string() });

const specSchema = object({
  rules: array(ruleSchema),
  tls: array(tlsSchema),
  httpOption: string({ enum: ['Enabled', 'Redirected'], default: 'Enabled' }),
});

const statusSchema = object({
  ...statusFields,
  publicLoadBalancer: loadBalancerSchema,
  privateLoadBalancer: loadBalancerSchema,
});

const ingressSchema = object({ spec: specSchema, status: statusSchema }, { present: ['spec'] });

/** What a gateway must serve: hosts, paths and the revisions behind them (Knative's KIngress). */
export interface Ingress extends KubeObject, ValueOf<typeof ingressSchema> {}

export const IngressKind = defineKind<Ingress>({
  group: 'networking.internal.knative.dev',
  version: 'v1alpha1',
  kind: 'Ingress',
  plural: 'ingresses',
  shortNames: ['kingress', 'king'],
  categories: ['knative-internal', 'networking'],
  schema: ingressSchema,
  columns: [...conditionColumns('Ready')],
});

/** It names no class, or that of our gateways. */
export const isForOurGateways = ({ metadata }: Ingress): boolean =>
  (metadata.annotations?.[ingressClassAnnotation] ?? kittiwakeIngressClass) === kittiwakeIngressClass;
