import { defineKind } from '../kind.ts';
import type { Conditioned, KubeObject } from '../meta.ts';
import { array, boolean, conditionsSchema, integer, intOrString, map, object, string } from '../schema.ts';

/** Names the ingress implementation that must serve an Ingress; ours is `kittiwakeIngressClass`. */
export const ingressClassAnnotation = 'networking.knative.dev/ingress.class';
export const kittiwakeIngressClass = 'kittiwake.ingress.networking.knative.dev';
/** Label with the value `cluster-local` on what must not be reachable from outside. */
export const visibilityLabel = 'networking.knative.dev/visibility';
export const clusterLocal = 'cluster-local';

/** What a gateway must serve: hosts, paths and the revisions behind them (Knative's KIngress). */
export interface Ingress extends KubeObject {
  spec: IngressSpec;
  status?: IngressStatus;
}

export interface IngressSpec {
  rules?: IngressRule[];
  tls?: IngressTls[];
  httpOption?: 'Enabled' | 'Redirected';
}

export interface IngressRule {
  hosts?: string[];
  visibility?: IngressVisibility;
  http?: { paths: IngressPath[] };
}

export type IngressVisibility = 'ExternalIP' | 'ClusterLocal';

/** Paths are tried in order; `headers` must all match. */
export interface IngressPath {
  path?: string;
  headers?: Record<string, { exact: string }>;
  rewriteHost?: string;
  appendHeaders?: Record<string, string>;
  splits: IngressSplit[];
}

/** A share of the requests of a path; the percents of a path sum to 100. */
export interface IngressSplit {
  serviceNamespace: string;
  serviceName: string;
  servicePort: number | string;
  percent?: number;
  /** Set on each request that goes this way, replacing what the client sent. */
  appendHeaders?: Record<string, string>;
}

export interface IngressTls {
  hosts?: string[];
  secretName?: string;
  secretNamespace?: string;
}

export interface IngressStatus extends Conditioned {
  publicLoadBalancer?: LoadBalancerStatus;
  privateLoadBalancer?: LoadBalancerStatus;
}

export interface LoadBalancerStatus {
  ingress?: { ip?: string; domain?: string; domainInternal?: string; meshOnly?: boolean }[];
}

const headers = map(string());

const splitSchema = object(
  {
    serviceNamespace: string(),
    serviceName: string(),
    servicePort: intOrString(),
    percent: integer({ minimum: 0, maximum: 100 }),
    appendHeaders: headers,
  },
  { required: ['serviceName', 'serviceNamespace', 'servicePort'] },
);

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

const ruleSchema = object({
  hosts: array(string()),
  visibility: string({ enum: ['ExternalIP', 'ClusterLocal'] }),
  http: object({ paths: array(pathSchema) }, { required: ['paths'] }),
});

const loadBalancerSchema = object({
  ingress: array(object({ ip: string(), domain: string(), domainInternal: string(), meshOnly: boolean() })),
});

export const IngressKind = defineKind<Ingress>({
  group: 'networking.internal.knative.dev',
  version: 'v1alpha1',
  kind: 'Ingress',
  plural: 'ingresses',
  shortNames: ['kingress', 'king'],
  categories: ['knative-internal', 'networking'],
  schema: object({
    spec: object({
      rules: array(ruleSchema),
      tls: array(object({ hosts: array(string()), secretName: string(), secretNamespace: string() })),
      httpOption: string({ enum: ['Enabled', 'Redirected'], default: 'Enabled' }),
    }),
    status: object({
      conditions: conditionsSchema,
      observedGeneration: integer(),
      annotations: map(),
      publicLoadBalancer: loadBalancerSchema,
      privateLoadBalancer: loadBalancerSchema,
    }),
  }),
  columns: [
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: 'Reason', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].reason" },
  ],
});
