import { type FieldError, fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import { conditionsSchema, type KubeObject } from '../meta.ts';
import {
  dnsLabel1035Rule,
  dnsLabelRule,
  dnsSubdomainRule,
  isDnsLabel,
  isDnsLabel1035,
  isDnsSubdomain,
} from '../names.ts';
import { atomicList, boolean, integer, intOrString, map, mapList, object, string, type ValueOf } from '../schema.ts';
import { protocols } from './container.ts';
import { portRule, validateTargetPort } from './pod-validation.ts';

const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;

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

const serviceSchema = object(
  {
    spec: object({
      type: string({ enum: types }),
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
    }),
    status: object({
      loadBalancer: object({
        ingress: atomicList(loadBalancerIngress),
      }),
      conditions: conditionsSchema,
    }),
  },
  { present: ['spec'] },
);

/** core/v1 Service: a name for a set of pods. (Knative's Service is `Service` of api/serving.) */
export interface CoreService extends KubeObject, ValueOf<typeof serviceSchema> {}
export const CoreServiceKind = defineKind<CoreService>({
  group: '',
  version: 'v1',
  kind: 'Service',
  shortNames: ['svc'],
  categories: ['all'],
  schema: serviceSchema,
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    { name: 'Cluster-IP', type: 'string', jsonPath: '.spec.clusterIP' },
    { name: 'External-IP', type: 'string', jsonPath: '.status.loadBalancer.ingress[*].ip' },
    { name: 'Port(s)', type: 'string', jsonPath: '.spec.ports[*].port' },
    { name: 'Selector', type: 'string', jsonPath: '.spec.selector', priority: 1 },
  ],
  setDefaults(service, { old }) {
    service.spec ??= {};
    const { spec } = service;
    spec.type ??= 'ClusterIP';
    spec.sessionAffinity ??= 'None';
    for (const port of spec.ports ?? []) {
      port.protocol ??= 'TCP';
      port.targetPort ??= port.port;
    }
    if (spec.type === 'ExternalName') return;
    spec.internalTrafficPolicy ??= 'Cluster';
    // The embedded cluster's pods share the host's loopback: there are no virtual addresses to hand out.
    spec.clusterIP ||= old?.spec.clusterIP || 'None';
    spec.clusterIPs ??= [spec.clusterIP];
    spec.ipFamilies ??= ['IPv4'];
    spec.ipFamilyPolicy ??= 'SingleStack';
  },
  validate(service) {
    const { spec } = service;
    const errors: FieldError[] = [];
    const { name } = service.metadata;
    if (!isDnsLabel1035(name)) errors.push(fieldInvalid('metadata.name', name, dnsLabel1035Rule));
    if (spec.type === 'ExternalName') {
      if (!spec.externalName) errors.push(fieldRequired('spec.externalName'));
      else if (!isDnsSubdomain(spec.externalName.replace(/\.$/, ''))) {
        errors.push(fieldInvalid('spec.externalName', spec.externalName, dnsSubdomainRule));
      }
    } else if (!spec.ports?.length && spec.clusterIP !== 'None') errors.push(fieldRequired('spec.ports'));
    if (spec.type && !types.includes(spec.type)) errors.push(fieldNotSupported('spec.type', spec.type, types));
    errors.push(...validatePorts(spec.ports ?? []));
    return errors;
  },
});

function validatePorts(ports: readonly ServicePort[]): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`;
    if (!port.name && ports.length > 1) errors.push(fieldRequired(`${at}.name`));
    if (port.name && !isDnsLabel(port.name)) errors.push(fieldInvalid(`${at}.name`, port.name, dnsLabelRule));
    if (port.name && names.has(port.name)) errors.push(fieldDuplicate(`${at}.name`, port.name));
    names.add(port.name ?? '');
    if (port.port < 1 || port.port > 65535) errors.push(fieldInvalid(`${at}.port`, port.port, portRule));
    const number = `${port.port}/${port.protocol}`;
    if (numbers.has(number)) errors.push(fieldDuplicate(at, number));
    numbers.add(number);
    if (port.targetPort !== undefined) errors.push(...validateTargetPort(port.targetPort, `${at}.targetPort`));
  });
  return errors;
}
