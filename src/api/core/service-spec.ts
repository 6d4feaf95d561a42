import { conditionsSchema } from '../meta.ts';
import { atomicList, boolean, integer, intOrString, map, mapList, object, string, type ValueOf } from '../schema.ts';
import { protocols } from './container.ts';

export const serviceTypes = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;

/** As `clusterIP`: the Service has no address of its own, DNS tells those of its endpoints. */
export const headless = 'None';

const portSchema = object(
  {
    name: string(),
    port: integer({ format: 'int32' }),
    protocol: string({ enum: protocols, default: 'TCP' }),
    appProtocol: string(),
    /** A number, or the name of a container port; `port` unless given. */
    targetPort: intOrString(),
    nodePort: integer({ format: 'int32' }),
  },
  { required: ['port'] },
);

export interface ServicePort extends ValueOf<typeof portSchema> {}

const specSchema = object({
  type: string({ enum: serviceTypes }),
  selector: map(),
  ports: mapList(portSchema, ['port', 'protocol']),
  clusterIP: string(),
  clusterIPs: atomicList(string()),
  externalName: string(),
  externalIPs: atomicList(string()),
  sessionAffinity: string({ enum: ['None', 'ClientIP'] }),
  sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: integer({ format: 'int32' }) }) }),
  publishNotReadyAddresses: boolean(),
  ipFamilies: atomicList(string()),
  ipFamilyPolicy: string(),
  internalTrafficPolicy: string(),
  externalTrafficPolicy: string(),
  trafficDistribution: string(),
  healthCheckNodePort: integer({ format: 'int32' }),
  loadBalancerIP: string(),
  loadBalancerClass: string(),
  loadBalancerSourceRanges: atomicList(string()),
  allocateLoadBalancerNodePorts: boolean(),
});

export interface ServiceSpec extends ValueOf<typeof specSchema> {}

const loadBalancerIngress = object({
  ip: string(),
  hostname: string(),
  ipMode: string(),
  ports: atomicList(
    object(
      { port: integer({ format: 'int32' }), protocol: string(), error: string() },
      { required: ['port', 'protocol'] },
    ),
  ),
});

export const serviceSchema = object(
  {
    spec: specSchema,
    status: object({
      loadBalancer: object({
        ingress: atomicList(loadBalancerIngress),
      }),
      conditions: conditionsSchema,
    }),
  },
  { present: ['spec'] },
);

type TypedSpec = Pick<ServiceSpec, 'type'>;

/** Whether it has an address of the cluster, or says that it wants none. */
export const needsClusterIp = ({ type }: TypedSpec): boolean => type !== 'ExternalName';

/** Whether ports of the node may lead to it. */
export const needsNodePorts = ({ type }: TypedSpec): boolean => type === 'NodePort' || type === 'LoadBalancer';

/** Whether a port of the node says if it has endpoints there. */
export const needsHealthCheckNodePort = ({ type, externalTrafficPolicy }: ServiceSpec): boolean =>
  type === 'LoadBalancer' && externalTrafficPolicy === 'Local';

export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  needsNodePorts(spec) || (needsClusterIp(spec) && (spec.externalIPs?.length ?? 0) > 0);
