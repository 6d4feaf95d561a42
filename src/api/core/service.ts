import { type FieldError, fieldInvalid, fieldNotSupported, fieldRequired } from '../field-error.ts';
import { defineKind } from '../kind.ts';
import type { Condition, KubeObject } from '../meta.ts';
import {
  dnsLabel1035Rule,
  dnsLabelRule,
  dnsSubdomainRule,
  isDnsLabel,
  isDnsLabel1035,
  isDnsSubdomain,
} from '../names.ts';
import {
  anything,
  array,
  boolean,
  conditionsSchema,
  integer,
  intOrString,
  map,
  mapList,
  object,
  string,
} from '../schema.ts';
import { fieldDuplicate, portRule, validateTargetPort } from './pod-validation.ts';

export interface ServicePort {
  name?: string;
  port: number;
  protocol?: 'TCP' | 'UDP' | 'SCTP';
  appProtocol?: string;
  /** A number, or the name of a container port; `port` unless given. */
  targetPort?: number | string;
  nodePort?: number;
}

export interface CoreServiceSpec {
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  selector?: Record<string, string>;
  ports?: ServicePort[];
  clusterIP?: string;
  clusterIPs?: string[];
  externalName?: string;
  externalIPs?: string[];
  sessionAffinity?: 'None' | 'ClientIP';
  publishNotReadyAddresses?: boolean;
  ipFamilies?: string[];
  ipFamilyPolicy?: string;
  internalTrafficPolicy?: string;
  externalTrafficPolicy?: string;
  [other: string]: unknown;
}

/** core/v1 Service: a name for a set of pods. (Knative's Service is `Service` of api/serving.) */
export interface CoreService extends KubeObject {
  spec: CoreServiceSpec;
  status?: { loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] }; conditions?: Condition[] };
}

const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const;

export const CoreServiceKind = defineKind<CoreService>({
  group: '',
  version: 'v1',
  kind: 'Service',
  shortNames: ['svc'],
  categories: ['all'],
  schema: object({
    spec: object({
      type: string({ enum: [...types] }),
      selector: map(),
      ports: mapList(
        object(
          {
            name: string(),
            port: integer({ format: 'int32' }),
            protocol: string({ enum: ['TCP', 'UDP', 'SCTP'], default: 'TCP' }),
            appProtocol: string(),
            targetPort: intOrString(),
            nodePort: integer({ format: 'int32' }),
          },
          { required: ['port'] },
        ),
        ['port', 'protocol'],
      ),
      clusterIP: string(),
      clusterIPs: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      externalName: string(),
      externalIPs: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      sessionAffinity: string({ enum: ['None', 'ClientIP'] }),
      sessionAffinityConfig: anything(),
      publishNotReadyAddresses: boolean(),
      ipFamilies: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      ipFamilyPolicy: string(),
      internalTrafficPolicy: string(),
      externalTrafficPolicy: string(),
      trafficDistribution: string(),
      healthCheckNodePort: integer({ format: 'int32' }),
      loadBalancerIP: string(),
      loadBalancerClass: string(),
      loadBalancerSourceRanges: array(string(), { 'x-kubernetes-list-type': 'atomic' }),
      allocateLoadBalancerNodePorts: boolean(),
    }),
    status: object({
      loadBalancer: object({
        ingress: array(anything(), { 'x-kubernetes-list-type': 'atomic' }),
      }),
      conditions: conditionsSchema,
    }),
  }),
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    { name: 'Cluster-IP', type: 'string', jsonPath: '.spec.clusterIP' },
    { name: 'External-IP', type: 'string', jsonPath: '.status.loadBalancer.ingress[*].ip' },
    { name: 'Port(s)', type: 'string', jsonPath: '.spec.ports[*].port' },
    { name: 'Selector', type: 'string', jsonPath: '.spec.selector', priority: 1 },
  ],
  setDefaults(service, old) {
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
